import ArgumentParser
import KVMProcessor

extension InterceptMode: ExpressibleByArgument {}
extension Lending: ExpressibleByArgument {}

/// The options of `testudo run` that are of the KVM processor.
struct KVMOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "How the KVM processor finds the instructions that can cause VM exits: patched, by HLTs in a copy of the guest's "
        + "code (the default); native, the same without an exit for calls and returns between pages, which not every "
        + "guest allows; stepped, by single steps.", valueName: "mode"))
  var intercepts: InterceptMode?

  @Option(
    help: ArgumentHelp(
      "What plain instructions the KVM processor lends to KVM: gain, those that KVM is found to execute sooner (the "
        + "default); all, whatever can be.", valueName: "rule"))
  var lending: Lending?

  @Option(help: ArgumentHelp("The device of the KVM processor (default: /dev/kvm).", valueName: "file"))
  var kvmDevice: String?

  /// The first of them that was given.
  var given: String? {
    if intercepts != nil { return "--intercepts" }
    if lending != nil { return "--lending" }
    return kvmDevice != nil ? "--kvm-device" : nil
  }
}
