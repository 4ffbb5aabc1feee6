import Experiments
import Testing

@Suite struct ManifestTests {
  static let text = """
    schema: testudo.experiment/1
    name: sample
    question: How many?
    guest: minimal
    workloads: [cpuid, io]
    iterations: 10
    vmcsAccess: [off, hardware]
    memory: 64M
    plot: hardwareExitsPerL2Exit
    """

  @Test func severalMemoryDesignsAreMeasuredByIterations() throws {
    let designs =
      Self.text.replacing("vmcsAccess: [off, hardware]", with: "vmcsAccess: [hardware]")
      + "\nmemoryDesign: [ept-on-ept, shadow-on-shadow]\n"
    let text = designs.replacing("plot: hardwareExitsPerL2Exit", with: "plot: cyclesPerIteration")
      .replacing("plot: cyclesPerL2Exit", with: "plot: cyclesPerIteration")
    let manifest = try Manifest(yaml: text, file: "m.yaml")
    #expect(manifest.comparesDesigns)
    #expect(manifest.cases.count == 4)
    #expect(manifest.cases[1].memoryDesign == .shadowOnShadow)
    #expect(throws: ManifestError.self) { try Manifest(yaml: designs, file: "m.yaml") }
    let both = text.replacing("vmcsAccess: [hardware]", with: "vmcsAccess: [off, hardware]")
    #expect(throws: ManifestError.self) { try Manifest(yaml: both, file: "m.yaml") }
  }

  @Test func carriersAreMeasuredByIterations() throws {
    let text =
      Self.text.replacing("plot: hardwareExitsPerL2Exit", with: "plot: hardwareExitsPerIteration")
      + "\ncarriers: [0, 2]\n"
    let manifest = try Manifest(yaml: text, file: "m.yaml")
    #expect(manifest.comparesDepths && manifest.measuresIterations && !manifest.comparesDesigns)
    #expect(manifest.cases.count == 8)
    #expect(manifest.cases[2] == .init(workload: "cpuid", vmcsAccess: VMCSAccess(.off), carriers: 2))
    for (old, new) in [("[0, 2]", "[0, 9]"), ("[0, 2]", "[0, 02]"), ("[0, 2]", "2")] {
      #expect(throws: ManifestError.self) {
        try Manifest(yaml: text.replacing("carriers: \(old)", with: "carriers: \(new)"), file: "m.yaml")
      }
    }
    // One of the two runs has twice the iterations.
    for (count, isTooMany) in [("9223372036854775807", false), ("9223372036854775808", true)] {
      let many = text.replacing("iterations: 10", with: "iterations: \(count)")
      let manifest = try? Manifest(yaml: many, file: "m.yaml")
      #expect((manifest == nil) == isTooMany, "\(count)")
    }
    let onLinux = text.replacing("guest: minimal", with: "guest: linux-kvm\nkernel: 6.1.0-nowhere")
    #expect(throws: ManifestError.self) { try Manifest(yaml: onLinux, file: "m.yaml") }
    #expect(throws: ManifestError.self) {
      try Manifest(yaml: text + "memoryDesign: [shadow-on-ept]\n", file: "m.yaml")
    }
  }

  @Test func manifestIsRead() throws {
    let manifest = try Manifest(yaml: Self.text, file: "m.yaml")
    #expect(manifest.name == "sample")
    #expect(manifest.memory == 64 << 20)
    #expect(manifest.iterations == 10)
    #expect(
      manifest.cases == [
        .init(workload: "cpuid", vmcsAccess: VMCSAccess(.off)),
        .init(workload: "cpuid", vmcsAccess: VMCSAccess(.hardware)),
        .init(workload: "io", vmcsAccess: VMCSAccess(.off)),
        .init(workload: "io", vmcsAccess: VMCSAccess(.hardware)),
      ])
  }

  @Test func linuxHasAKernel() throws {
    let text = Self.text.replacing("guest: minimal", with: "guest: linux-kvm\nkernel: 6.1.0-nowhere")
    let manifest = try Manifest(yaml: text, file: "folder/m.yaml")
    #expect(manifest.linux == LinuxGuest(release: "6.1.0-nowhere", folder: "folder"))
    #expect(manifest.linux?.isThere == false)
    let error = #expect(throws: LinuxGuestError.self) { try ExperimentRun(manifest).measurements() }
    #expect(error?.problem.contains("6.1.0-nowhere/vmlinuz: is missing") == true)
  }

  /// Each mistake is told with its file, line, field and what was expected.
  @Test(arguments: [
    (
      "schema: testudo.experiment/1", "schema: other/9",
      "m.yaml:1: schema: expected testudo.experiment/1, found other/9"
    ),
    ("guest: minimal", "guest: nobody", "m.yaml:4: guest: there is no guest nobody"),
    ("workloads: [cpuid, io]", "workloads: [cpuid, fly]", "m.yaml:5: workloads: expected one of cpuid"),
    ("workloads: [cpuid, io]", "workloads: [io, io]", "m.yaml:5: workloads: io stands twice"),
    ("workloads: [cpuid, io]", "workloads: cpuid", "m.yaml:5: workloads: expected a list"),
    ("workloads: [cpuid, io]", "workloads: []", "m.yaml:5: workloads: expected a list of at least one"),
    ("iterations: 10", "iterations: 0", "m.yaml:6: iterations: expected a whole number from 1, found 0"),
    ("iterations: 10", "iterations: ten", "m.yaml:6: iterations: expected a whole number from 1, found ten"),
    ("iterations: 10", "iteration: 10", "m.yaml:6: iteration: unknown field"),
    ("iterations: 10\n", "", "m.yaml: iterations: the field is missing"),
    (
      "[off, hardware]", "[off, on]",
      "m.yaml:7: vmcsAccess: expected one of off, hardware, ideal, enlightened, direct, hardware:FILE, found on"
    ),
    ("memory: 64M", "memory: much", "m.yaml:8: memory: expected a size such as 256M or 1G, found much"),
    (
      "memory: 64M", "memory: 1M",
      "m.yaml:8: memory: expected a multiple of 4096 bytes from 2M to 1T, found 1M"
    ),
    ("plot: hardware", "plot: soft", "m.yaml:9: plot: expected one of"),
    ("guest: minimal", "guest: linux-kvm", "m.yaml: kernel: the field is missing"),
    (
      "guest: minimal", "guest: minimal\nkernel: 6.1",
      "m.yaml:5: kernel: only the guest linux-kvm has a kernel"
    ),
    ("question: How many?", "question: [", "m.yaml:"),
    ("schema: testudo.experiment/1\n", "- 1\n", "m.yaml:"),
  ])
  func mistakeIsNamed(_ original: String, _ replacement: String, _ message: String) {
    let text = Self.text.replacing(original, with: replacement)
    #expect(text != Self.text)
    let error = #expect(throws: ManifestError.self) { try Manifest(yaml: text, file: "m.yaml") }
    let description = error.map(\.description) ?? ""
    #expect(description.hasPrefix(message), "\(description)")
    #expect(!description.contains("\n"))
  }

  @Test(arguments: ["", "just text", "- a\n- b", "\u{0}", "a: &x [*x]", "%", "\t"])
  func whatIsNoMappingIsRefused(_ text: String) {
    #expect(throws: ManifestError.self) { try Manifest(yaml: text, file: "m.yaml") }
  }
}
