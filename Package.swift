// swift-tools-version: 6.2
import PackageDescription

// Hot paths cross module boundaries (NestedVMX under Hypervisor, Trace under both), so release builds
// specialise across them (ARCHITECTURE.md, "Building for speed").
let optimised: [SwiftSetting] = [
  .unsafeFlags(["-cross-module-optimization"], .when(configuration: .release))
]

// The interpreter's switch ends each of its cases with a dispatch of its own, which the host's branch predictor tells
// apart, instead of sharing one jump (ARCHITECTURE.md, "Building for speed").
let threadedDispatch: [SwiftSetting] = [
  .unsafeFlags(
    ["-Xllvm", "-tail-dup-pred-size=4096", "-Xllvm", "-tail-dup-succ-size=4096"],
    .when(configuration: .release))
]

/// One room of the house: a target, what it may import, and its tests beside it.
struct Room {
  var name: String
  var imports: [Target.Dependency] = []
  /// What its tests import beside it and its imports.
  var testImports: [Target.Dependency] = []
  var exclude: [String] = []
  var resources: [Resource] = []
  var settings: [SwiftSetting] = []
}

// The order is the layering: a target may import only targets listed before it (ArchitectureTests).
let rooms: [Room] = [
  // Vocabulary: values only.
  Room(name: "X86"),
  Room(name: "VMX", imports: ["X86"]),
  // Substrate.
  Room(name: "GuestMemory", imports: ["X86"]),
  Room(name: "Trace", imports: ["X86", "VMX"]),
  // Mechanism.
  Room(name: "EntryChecks", imports: ["X86", "VMX"], testImports: ["EntryCases"]),
  Room(name: "Translation", imports: ["X86", "VMX"]),
  Room(name: "InstructionDecoder", imports: ["X86"]),
  Room(name: "Processor", imports: ["X86", "VMX", "GuestMemory", "Trace"]),
  // Processors.
  Room(
    name: "SoftwareProcessor",
    imports: [
      "X86", "VMX", "GuestMemory", "Trace", "EntryChecks", "Translation", "InstructionDecoder", "Processor",
    ],
    settings: threadedDispatch),
  Room(
    name: "KVMProcessor",
    imports: [
      "CKVM", "X86", "VMX", "GuestMemory", "Translation", "InstructionDecoder", "Processor",
      "SoftwareProcessor",
    ]),
  // Nested core.
  Room(name: "NestedVMX", imports: ["X86", "VMX", "EntryChecks", "Translation"]),
  // L0.
  Room(name: "Platform", imports: ["X86", "GuestMemory"]),
  // Study.
  Room(name: "CostModel", imports: ["X86", "VMX", "Trace"]),
  Room(
    name: "Hypervisor",
    imports: [
      "X86", "VMX", "GuestMemory", "Trace", "Translation", "InstructionDecoder", "Processor",
      "NestedVMX", "Platform", "CostModel", "EntryChecks",
    ]),
  Room(name: "ExitAnalysis", imports: ["X86", "VMX", "Trace", "CostModel"]),
  Room(
    name: "Report",
    imports: ["X86", "VMX", "Trace", "EntryChecks", "NestedVMX", "ExitAnalysis", "CostModel"]),
  Room(
    name: "Experiments",
    imports: [
      "X86", "VMX", "Trace", "Processor", "SoftwareProcessor", "KVMProcessor", "Hypervisor", "CostModel",
      "ExitAnalysis", "Report", .product(name: "Yams", package: "Yams"),
    ],
    // Images is a link to Guests/Images: the program carries its guests, wherever it is run from.
    // CostTables likewise to Experiments/CostTables.
    exclude: ["Images/SHA256SUMS", "CostTables/README.md"],
    resources: ["minimal", "minimal-broken", "carrier"].map { .embedInCode("Images/\($0).elf") }
      + [
        "reference", "paxville", "woodcrest", "harpertown", "nehalem", "sandybridge", "haswell", "skylake",
        "icelake",
      ].map { .embedInCode("CostTables/\($0).yaml") }),
]

let command: Target = .executableTarget(
  name: "testudo",
  dependencies: [
    "X86", "VMX", "GuestMemory", "Trace", "Processor", "SoftwareProcessor", "KVMProcessor", "NestedVMX",
    "Hypervisor", "CostModel", "ExitAnalysis", "Report", "Experiments",
    .product(name: "ArgumentParser", package: "swift-argument-parser"),
    .product(name: "Logging", package: "swift-log"),
  ],
  swiftSettings: optimised)

/// What several test suites stand on.
let testSupport: [Target] = [
  // A VMCS that violates each check of VM entry.
  .target(name: "EntryCases", dependencies: ["EntryChecks", "VMX", "X86"], path: "Tests/EntryCases"),
  // The whole of L0 under an L1 that enters any VMCS.
  .target(
    name: "NestedRig",
    dependencies: [
      "X86", "VMX", "GuestMemory", "Processor", "SoftwareProcessor", "EntryChecks", "NestedVMX",
      "Hypervisor",
    ],
    path: "Tests/NestedRig", swiftSettings: optimised),
]

/// Test suites that are more than the mirror of one target.
let suites: [Target] = [
  .testTarget(
    name: "ConformanceTests",
    dependencies: [
      "EntryCases", "NestedRig", "EntryChecks", "Hypervisor", "NestedVMX", "Processor", "SoftwareProcessor",
      "Trace",
      "VMX", "X86",
    ]),
  .testTarget(name: "ArchitectureTests"),
  .testTarget(name: "GuestTests"),
  .testTarget(
    name: "GoldenTests",
    dependencies: [
      "Hypervisor", "SoftwareProcessor", "KVMProcessor", "Processor", "GuestMemory", "CostModel",
      "ExitAnalysis", "Trace", "VMX", "X86", "Report", "NestedRig",
    ],
    exclude: ["Golden"]),
  .testTarget(name: "CommandTests", dependencies: ["testudo", "KVMProcessor"]),
  .testTarget(
    name: "LinuxTests", dependencies: ["testudo", "Experiments"], exclude: ["Guest", "fetch", "README.md"]),
]

// Fuzzing/README.md: no part of the normal build, for libFuzzer brings a main function of its own.
let fuzzers: [Target] =
  Context.environment["TESTUDO_FUZZING"] == nil
  ? []
  : [
    .executableTarget(
      name: "entry-fuzzer", dependencies: ["NestedRig"], path: "Fuzzing/EntryFuzzer",
      swiftSettings: optimised + [.unsafeFlags(["-parse-as-library"])])
  ]

let package = Package(
  name: "Testudo",
  products: [
    .executable(name: "testudo", targets: ["testudo"])
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
  ],
  targets: [.target(name: "CKVM")]
    + rooms.map {
      .target(
        name: $0.name, dependencies: $0.imports, exclude: $0.exclude, resources: $0.resources,
        swiftSettings: optimised + $0.settings)
    }
    + rooms.map {
      .testTarget(
        name: "\($0.name)Tests", dependencies: [.target(name: $0.name)] + $0.imports + $0.testImports)
    }
    + [command] + testSupport + suites + fuzzers,
  swiftLanguageModes: [.v6]
)
