import CostModel
import NestedVMX
import Platform
import Trace
import X86

// The words of the nested core that a configuration is written in.
public typealias NestedPolicy = NestedVMX.NestedPolicy
public typealias VMCSAccessModel = NestedVMX.VMCSAccessModel
public typealias ShadowedFieldSet = NestedVMX.ShadowedFieldSet
public typealias EPTCompositionPolicy = NestedVMX.EPTCompositionPolicy
public typealias MemoryDesign = NestedVMX.MemoryDesign

// The words of the platform that a configuration is written in.
public typealias ProcessorModel = Platform.ProcessorModel
public typealias BlockStorage = Platform.BlockStorage
public typealias FirmwareFile = Platform.FirmwareFile
public typealias DiskFile = Platform.DiskFile
public typealias DiskError = Platform.DiskError
public typealias ClockTime = Platform.ClockTime

/// What a machine is made of.
public struct MachineConfiguration: Sendable {
  /// The L1 image.
  public var image: GuestImage
  /// The command line handed to L1 by whichever protocol its image is booted.
  public var commandLine = ""
  /// The initial RAM disk, which is the first module where a boot protocol has modules.
  public var initrd: GuestImage?
  /// The lines NAME=VALUE of the module that kvm-unit-tests read their environment from; without any there is none.
  public var environment: [String] = []
  /// Further modules.
  public var modules: [BootModule] = []
  /// How to start the image, or nil for the first way that it offers.
  public var bootProtocol: BootProtocol?
  /// L1's memory in bytes: a multiple of 4 KByte from ``minimumMemory``.
  public var memorySize: UInt64 = 256 << 20
  /// The number of virtual CPUs, from 1 to ``maximumProcessorCount``.
  public var processorCount = 1
  /// What CPUID says that the virtual CPUs are.
  public var model = ProcessorModel.standard
  /// What the real-time clock says as the machine starts, in seconds since 1970-01-01T00:00:00 UTC.
  public var clockStart = MachineConfiguration.defaultClockStart
  /// The disks, each a virtio block device.
  public var disks: [any BlockStorage & Sendable] = []
  /// Receives each byte that the guest writes to its virtio console, on the thread of the run; nil for no such console.
  public var consoleOutput: (@Sendable (UInt8) -> Void)?
  /// What the guest finds by name in the firmware configuration device.
  public var firmwareFiles: [FirmwareFile] = []
  /// How L0 runs the nested machine.
  public var nested = NestedPolicy(eptComposition: .ahead)
  /// The number of guest instructions after which the run stops, or nil for none.
  public var instructionLimit: UInt64?
  /// What becomes of the exits beside being counted.
  public var trace = TraceMode.countsOnly
  /// What virtual time things take.
  public var costs = CostTable.reference
  /// Who sees the VMCSs, and when; nil if nobody does.
  public var watched: VMCSWatchList?
  /// Which exit trees are recorded with their VMCSs; nil if none are.
  public var recorded: TreeRecording?
  /// What the user types at the guest's console: the virtio console, if the guest listens there, else the serial port;
  /// nil if nobody does.
  public var consoleInput: (any ConsoleInput)?
  /// Receives each byte that the guest writes to its serial port, on the thread of the run.
  public var serialOutput: @Sendable (UInt8) -> Void = { _ in }

  /// The smallest memory that a machine can have: 1 MByte and a page, where an image can begin.
  public static let minimumMemory: UInt64 = 2 << 20
  /// The largest memory that a machine can have.
  public static let maximumMemory: UInt64 = 1 << 40

  /// The greatest number of disks: the virtio devices that a machine can have, less a console and an entropy source.
  public static let maximumDiskCount = PlatformAddresses.virtioLimit - 2
  /// 2026-01-01T00:00:00 UTC, a fixed date, so that runs repeat.
  public static let defaultClockStart = BoardConfiguration.defaultClockStart

  /// The greatest number of virtual CPUs.
  public static let maximumProcessorCount = 64

  public init(image: GuestImage) { self.image = image }

  /// What the virtual CPUs have on a processor that has `available`.
  func features(on available: ProcessorFeatures) -> ProcessorFeatures { model.features(on: available) }
}

/// Why a machine could not be made. Each is one line that says what was expected.
public enum MachineError: Error, Equatable, CustomStringConvertible {
  /// The memory size is not possible.
  case memorySize(UInt64)
  /// The number of virtual CPUs is not possible.
  case processorCount(Int)
  /// There are several virtual CPUs, and the memory design allows one.
  case processorsWithoutEPT(Int)
  /// The command line is longer than the kernel, or the place where the boot information lies, can take.
  case commandLineTooLong(Int, limit: Int)
  /// There are more modules than the boot information can list.
  case tooManyModules(Int)
  /// The modules' texts do not fit where the boot information lies; the value is how many bytes do.
  case moduleTextsTooLong(Int)
  /// The host refused the memory; the text is its reason.
  case noMemory(String)
  /// The processor lacks something that L0 needs.
  case processorLacks(String)

  public var description: String {
    switch self {
    case .memorySize(let bytes):
      "a memory of \(bytes) bytes is not possible: expected a multiple of 4096 from "
        + "\(MachineConfiguration.minimumMemory) (2M) to \(MachineConfiguration.maximumMemory) (1T)"
    case .processorCount(let count):
      "\(count) virtual CPUs are not possible: expected 1 to \(MachineConfiguration.maximumProcessorCount)"
    case .processorsWithoutEPT(let count):
      "\(count) virtual CPUs are not possible with the memory design shadow-on-shadow, since all but the first start in "
        + "real-address mode, where a guest needs EPT: expected 1"
    case .commandLineTooLong(let count, let limit):
      "the command line has \(count) bytes: expected at most \(limit); shorten what --cmdline says"
    case .tooManyModules(let count):
      "there are \(count) modules: expected at most \(BootInformation.moduleLimit), with the initial RAM disk and the "
        + "environment"
    case .moduleTextsTooLong(let limit):
      "the modules' arguments are too long: expected at most \(limit) bytes together"
    case .noMemory(let reason): reason
    case .processorLacks(let feature):
      "this processor lacks \(feature), which L0 needs: use the software processor"
    }
  }
}
