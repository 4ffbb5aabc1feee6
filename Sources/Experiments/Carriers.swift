import Hypervisor

/// Guest hypervisors of our own between L0 and an image, one in another: each has one guest, which has the machine to
/// itself, and VMX.
///
/// Guests/carrier/README.md describes them.
public enum Carriers {
  /// The greatest number that makes sense: each takes memory, and multiplies the exits of what it carries.
  public static let limit = 8

  /// The image of one.
  public static let image = GuestImage(name: "carrier", bytes: PackageResources.carrier_elf)
}

extension MachineConfiguration {
  /// Puts `count` carriers under the image, which with one of them is L2, with two L3. Its command line and its modules
  /// stay its own. The carriers shadow their guests' VMCSs unless L0 lets every access of L1's exit, so that
  /// ``NestedPolicy/vmcsAccess`` has to be what it will be.
  public mutating func carry(by count: Int) {
    guard count > 0 else { return }
    let options = "vmcs-access=\(nested.vmcsAccess == .off ? "off" : "hardware")"
    var carried = (1..<count).map { _ in BootModule(Carriers.image, text: options) }
    carried.append(BootModule(image, text: textOfCarriedImage))
    if let initrd { carried.append(BootModule(initrd)) }
    if !environment.isEmpty { carried.append(.environment(environment)) }
    modules = carried + modules
    image = Carriers.image
    (commandLine, initrd, environment) = (options, nil, [])
  }

  /// As a boot loader passes it: the image's name, then its command line. A word without "=" is none of our guests'.
  private var textOfCarriedImage: String {
    commandLine.isEmpty ? image.fileName : "\(image.fileName) \(commandLine)"
  }
}
