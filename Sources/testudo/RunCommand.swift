import ArgumentParser
import CostModel
import Experiments
import Foundation
import Hypervisor
import KVMProcessor
import Logging
import Processor
import Report
import Trace

/// Which processor a machine runs on.
enum ProcessorChoice: String, CaseIterable, ExpressibleByArgument {
  case software
  case kvm
}

extension EPTCompositionPolicy: ExpressibleByArgument {}
extension MemoryDesign: ExpressibleByArgument {}
extension BootProtocol: ExpressibleByArgument {}

struct RunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run",
    abstract: "Runs a guest hypervisor and counts every exit.",
    discussion: """
      What the guest writes to its serial port goes to standard output, then a table of the exits by the level that \
      caused them, their reason, and the level that handled them. With --json, standard output is one JSON object \
      and the serial port goes to standard error. Ctrl-C ends a run and still prints what was counted.

      Standard input is the guest's console as soon as the guest listens there. A terminal's keys then go to the guest, \
      Ctrl-C too, and time passes as it does for you: Ctrl-A X ends the run, Ctrl-A Ctrl-A sends Ctrl-A, Ctrl-A H helps. \
      A file or pipe is typed line by line at moments that repeat from run to run.

      \(ExitStatus.discussion)
      """)

  @Argument(
    help:
      "A built-in guest ('testudo guests' lists them), or the path of a Linux bzImage or of an ELF or Multiboot image."
  )
  var guest: String

  @Option(help: "What L2 does (default for built-in guests: the first that 'testudo guests' lists).")
  var workload: String?

  @Option(
    parsing: .unconditional, help: "How often it does so (default for built-in guests: 1000).",
    transform: RunCommand.wholeNumber)
  var iterations: UInt64?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("L1's memory: bytes, or with a suffix K, M, G, T (default: 256M).", valueName: "size"),
    transform: RunCommand.memorySize)
  var memory: UInt64 = 256 << 20

  @Option(
    parsing: .unconditional,
    help: """
      L1's command line; workload=… and iterations=… are appended to it as options say, or as built-in guests need.
      """)
  var cmdline: String?

  @Option(help: ArgumentHelp("The number of virtual CPUs.", valueName: "count"))
  var cpus = 1

  @Option(
    help: ArgumentHelp(
      "The initial RAM disk, or the first module of an image with modules.", valueName: "file"))
  var initrd: String?

  @Option(
    name: .customLong("module"),
    help: ArgumentHelp(
      "A further module; what follows the first comma is its command line. Can be given several times.",
      valueName: "file[,arguments]"))
  var modules: [String] = []

  @Option(
    name: .customLong("env"),
    help: ArgumentHelp(
      "A line of the module from which kvm-unit-tests read their environment. Can be given several times.",
      valueName: "name=value"))
  var environment: [String] = []

  @Option(
    help: ArgumentHelp(
      "Put so many of our own hypervisors under the guest, one in another, each of which gives its guest VMX: with one the "
        + "guest is L2 and its guest L3. The image needs a PVH note or a Multiboot 1 header (default: 0).",
      valueName: "count"))
  var carriers = 0

  @Option(
    name: .customLong("boot"),
    help: "How to start the image (default: the first of these ways that it offers).")
  var bootProtocol: BootProtocol?

  @OptionGroup var devices: DeviceOptions

  @Option(help: "The processor to run on.")
  var processor = ProcessorChoice.software

  @OptionGroup var kvm: KVMOptions

  @Option(
    help: ArgumentHelp(
      "How L1's VMREAD and VMWRITE reach vmcs12: \(VMCSAccess.choices.joined(separator: ", ")).",
      valueName: "model"),
    transform: RunCommand.access)
  var vmcsAccess = VMCSAccess(.off)

  @Option(
    help: ArgumentHelp(
      "What virtual time things take: \(CostTableCatalog.names.joined(separator: ", ")), or a YAML file.",
      valueName: "table"),
    transform: CostTableCatalog.table)
  var costs = CostTable.reference

  @Option(help: "When ept02 gets its mappings: before L2 needs them, or by an exit of L2 for each page.")
  var eptComposition = EPTCompositionPolicy.ahead

  @Option(
    help: ArgumentHelp(
      "What translates for L2 and for L1: ept-on-ept, EPT for both; shadow-on-ept, L1 has no EPT; shadow-on-shadow, "
        + "neither L1 nor L0 has it.", valueName: "design"))
  var memoryDesign = MemoryDesign.eptOnEPT

  @Flag(help: "Print one JSON object on standard output.")
  var json = false

  @Option(
    help: ArgumentHelp(
      "Write every exit: as a Chrome/Perfetto trace if the name ends in .json, else as a binary trace for 'testudo "
        + "stat' and 'testudo trace'.", valueName: "file"))
  var trace: String?

  @Option(
    help: ArgumentHelp(
      "How many exit trees of each kind of L2 exit a binary trace has with the VMCSs at every step, for 'testudo "
        + "report': the first, second, fourth, eighth, and so on.", valueName: "count"))
  var traceVmcs = 6

  @Option(
    help: ArgumentHelp("Write dumps of vmcs01, vmcs12 and vmcs02 into this folder.", valueName: "folder"))
  var dumpVmcs: String?

  @Option(
    help: ArgumentHelp(
      "When to dump: entry:N, the N-th VM entry into L2; exit:N, the N-th VM exit of L2; failure, the first VM entry "
        + "that fails; last, the last VM exit of L2. Can be given several times (default: failure and last).",
      valueName: "moment"))
  var dumpAt: [VMCSMoment] = []

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("End the run after so many seconds of real time.", valueName: "seconds"),
    transform: RunCommand.seconds)
  var timeout: Double?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("End the run after so many guest instructions.", valueName: "count"),
    transform: RunCommand.wholeNumber)
  var limitInstructions: UInt64?

  @Flag(name: .shortAndLong, help: "Say on standard error what is being done.")
  var verbose = false

  private var logger: Logger { Log.logger(verbose: verbose) }

  func validate() throws {
    if guest.isEmpty {
      throw ValidationError("The guest is '': expected a built-in guest or the path of an image")
    }
    if trace == "" {
      throw ValidationError("The value of '--trace <file>' is '': expected the path of a file")
    }
    guard 0...64 ~= traceVmcs else {
      throw ValidationError("The value of '--trace-vmcs <count>' is \(traceVmcs): expected 0 to 64")
    }
    if dumpVmcs == "" {
      throw ValidationError("The value of '--dump-vmcs <folder>' is '': expected the path of a folder")
    }
    if let line = environment.first(where: { !$0.contains("=") || $0.hasPrefix("=") || $0.contains("\n") }) {
      throw ValidationError(
        "The value of '--env <name=value>' is '\(line)': expected one line such as NR_CPUS=1")
    }
    guard 0...Carriers.limit ~= carriers else {
      throw ValidationError(
        "The value of '--carriers <count>' is \(carriers): expected 0 to \(Carriers.limit)")
    }
    guard carriers == 0 || cpus == 1 else {
      throw ValidationError("--carriers needs one virtual CPU, for a second one would run beside the carrier")
    }
    guard carriers == 0 || devices.disks.isEmpty && devices.console == .serial else {
      throw ValidationError(
        "--carriers goes with the serial console and without disks: other devices take addresses for L1's, and the "
          + "carried guest's are others")
    }
    guard carriers == 0 || memoryDesign.offersEPT else {
      throw ValidationError(
        "--carriers needs EPT: leave out --memory-design \(memoryDesign.rawValue), which offers L1 none")
    }
    guard carriers == 0 || bootProtocol == nil else {
      throw ValidationError(
        "--boot is how Testudo starts the image, which a carrier does with --carriers: leave one of them out")
    }
    if processor != .kvm, let option = kvm.given {
      throw ValidationError("\(option) is of the KVM processor: give --processor kvm too")
    }
    guard memoryDesign.usesEPT || processor == .software else {
      throw ValidationError(
        "--memory-design shadow-on-shadow is of the software processor: leave out --processor \(processor.rawValue)"
      )
    }
    guard dumpAt.isEmpty || dumpVmcs != nil else {
      throw ValidationError("--dump-at needs --dump-vmcs FOLDER, where the dumps are written")
    }
  }

  func run() throws {
    let source = try GuestSource(guest)
    let options = try guestOptions(of: source)
    let watchdog = Watchdog(timeout: timeout)
    let progress = ProgressLine(isForPrograms: json)
    let console = SerialConsole(file: json ? STDERR_FILENO : STDOUT_FILENO, progress)
    var configuration = try configuration(for: source, commandLine: options.commandLine, console: console)
    let disks = try devices.openDisks()
    devices.apply(to: &configuration, disks: disks) { console.receive($0) }
    configuration.consoleInput = StandardInput(
      STDIN_FILENO, flush: { console.flush() }, leave: { watchdog.leave() })
    let dumps = try dumpVmcs.map { path throws(CommandError) in try VMCSFolder(path: path) }
    if let dumps {
      let moments: [VMCSMoment] = dumpAt.isEmpty ? [.failure, .last] : dumpAt
      configuration.watched = VMCSWatchList(Set(moments)) { dumps.write($0, $1) }
    }
    let traceFile = try openTrace(configuration, options)
    if let traceFile {
      configuration.trace = traceFile.mode
      if traceVmcs > 0, !traceFile.isExport {
        configuration.recorded = TreeRecording(treesPerReason: traceVmcs) { traceFile.write($0) }
      }
    }
    let run = Run(
      source: source, options: options, configuration: configuration, console: console, progress: progress,
      watchdog: watchdog, disks: disks, traceFile: traceFile, dumps: dumps)
    switch processor {
    case .software: try perform(run, on: Laboratory.machine(configuration))
    case .kvm:
      try perform(
        run,
        on: Laboratory.machine(
          configuration, intercepts: kvm.intercepts ?? .patched, lending: kvm.lending ?? .gain,
          device: kvm.kvmDevice ?? KVMHost.defaultPath))
    }
  }

  /// What belongs to one run.
  private struct Run {
    var source: GuestSource
    var options: GuestOptions
    var configuration: MachineConfiguration
    var console: SerialConsole
    var progress: ProgressLine?
    var watchdog: Watchdog
    var disks: [DiskFile]
    var traceFile: TraceFile?
    var dumps: VMCSFolder?
  }

  private func perform<P: VMXProcessor & SendableMetatype>(_ run: Run, on machine: Machine<P>) throws {
    let (options, configuration) = (run.options, run.configuration)
    let (console, progress, traceFile) = (run.console, run.progress, run.traceFile)
    let (watchdog, disks, dumps) = (run.watchdog, run.disks, run.dumps)
    traceFile?.begin()
    logger.info("running", metadata: ["guest": "\(guest)", "commandLine": "\(options.commandLine)"])
    watchdog.guardRun { machine.requestStop($0) }
    let start = ContinuousClock.now
    progress?.follow { [machine, progress] in machine.progress.text(after: progress?.seconds ?? 0) }
    let result = machine.run()
    watchdog.noteEnd()
    progress?.end()
    Terminal.restore()
    for disk in disks { _ = disk.flush() }
    let duration = (ContinuousClock.now - start).components
    console.finish()
    let report = RunReport(
      guest: guest, carriers: carriers, workload: options.workload, iterations: options.iterations,
      commandLine: options.commandLine, processor: processor.rawValue,
      vmcsAccess: vmcsAccess.name, configuration: configuration, result: result,
      hostSeconds: Double(duration.seconds) + Double(duration.attoseconds) * 1e-18,
      kvm: (machine.processor as? KVMCPU)?.counts, serial: console.kept,
      serialCount: console.count)
    let printed = Result { try Output.write(json ? report.json().text(indent: 2) + "\n" : report.text()) }
    try traceFile?.finish(result)
    try dumps?.finish()
    try printed.get()
    if !json, let failure = console.failure { throw Output.incomplete(failure) }
    try leave(result, signal: watchdog.signalStatus, diskFailure: disks.compactMap(\.failure).first)
  }

  /// Ends the program with a sentence on standard error unless the guest reported success and no disk failed.
  private func leave(_ result: RunResult, signal: ExitStatus?, diskFailure: String?) throws {
    guard !result.outcome.isSuccess else {
      if let diskFailure { throw CommandError(.outputIncomplete, diskFailure) }
      return
    }
    let note = diskFailure.map { "; \($0)" } ?? ""
    throw CommandError(result.outcome.status(signal: signal), "\(guest): \(result.outcome)\(note)")
  }

  private func openTrace(_ configuration: MachineConfiguration, _ options: GuestOptions) throws -> TraceFile?
  {
    guard let trace else { return nil }
    return try TraceFile(path: trace, description(configuration, options))
  }

  /// What a trace says it is of.
  private func description(_ configuration: MachineConfiguration, _ options: GuestOptions) -> TraceDescription
  {
    typealias Key = TraceDescription.Key
    let costs = configuration.costs
    var entries: [TraceDescription.Entry] = [
      .init(Key.guest, guest), .init("commandLine", options.commandLine),
      .init("memory", "\(configuration.memorySize)"), .init("processor", processor.rawValue),
      .init(Key.vmcsAccess, vmcsAccess.name),
      .init("eptComposition", configuration.nested.eptComposition.rawValue),
      .init("memoryDesign", configuration.nested.memoryDesign.rawValue),
      .init(Key.costTable, costs.name), .init(Key.frequency, "\(costs.frequency)"),
    ]
    if carriers > 0 { entries.append(.init("carriers", "\(carriers)")) }
    if let workload = options.workload { entries.append(.init(Key.workload, workload)) }
    if let iterations = options.iterations { entries.append(.init(Key.iterations, "\(iterations)")) }
    entries += costs.figures.map { .init(Key.pricePrefix + $0.item.rawValue, "\($0.cycles)") }
    return TraceDescription(entries)
  }

  private func configuration(
    for source: GuestSource, commandLine: String, console: SerialConsole
  ) throws(CommandError) -> MachineConfiguration {
    var configuration = MachineConfiguration(image: source.image)
    configuration.bootProtocol = bootProtocol
    configuration.initrd = try initrd.map { path throws(CommandError) in
      try InputFile.image(path, expecting: "the path of an initial RAM disk")
    }
    configuration.environment = environment
    try checkCarrying(source.image)
    configuration.modules = try modules.map { text throws(CommandError) in try ModuleOption.module(text) }
    configuration.commandLine = commandLine
    configuration.memorySize = memory
    configuration.processorCount = cpus
    vmcsAccess.apply(to: &configuration.nested)
    configuration.carry(by: carriers)
    configuration.nested.eptComposition = eptComposition
    configuration.nested.memoryDesign = memoryDesign
    configuration.costs = costs
    configuration.instructionLimit = limitInstructions
    configuration.serialOutput = { console.receive($0) }
    return configuration
  }

  private func checkCarrying(_ image: GuestImage) throws(CommandError) {
    let magicOfELF: [UInt8] = [0x7F, 0x45, 0x4C, 0x46]
    guard carriers > 0, !image.bytes.starts(with: magicOfELF) else { return }
    throw CommandError(
      .malformedInput,
      "\(guest): no ELF file: expected one with a PVH note or a Multiboot 1 header, which --carriers needs")
  }

  // MARK: What the guest is told

  private struct GuestOptions {
    var workload: String?
    var iterations: UInt64?
    var commandLine: String
  }

  /// A built-in guest always has a workload and a number of iterations: those of the options, else of the command
  /// line, else the defaults. Another image has only those of the options.
  private func guestOptions(of source: GuestSource) throws(CommandError) -> GuestOptions {
    var options = GuestOptions(workload: workload, iterations: iterations, commandLine: "")
    if case .builtIn(let builtIn) = source {
      let words = (workload: word("workload"), iterations: word("iterations"))
      options.workload = workload ?? words.workload ?? builtIn.workloads.first?.name
      options.iterations = iterations ?? words.iterations.map { UInt64($0) } ?? 1000
      if let name = options.workload, builtIn.workload(name) == nil {
        let names = builtIn.workloads.map(\.name).joined(separator: ", ")
        throw CommandError(.usage, "guest \(guest) has no workload '\(name)': expected one of \(names)")
      }
    }
    var words = cmdline.map { [$0] } ?? []
    if let workload = options.workload, workload != word("workload") { words.append("workload=\(workload)") }
    if let iterations = options.iterations, "\(iterations)" != word("iterations") {
      words.append("iterations=\(iterations)")
    }
    options.commandLine = words.joined(separator: " ")
    return options
  }

  /// The value of the last word `key=value` of `--cmdline`, which is the one that holds.
  private func word(_ key: String) -> String? {
    cmdline?.split(separator: " ").last { $0.hasPrefix(key + "=") }.map {
      String($0.dropFirst(key.count + 1))
    }
  }

  // MARK: Values of options

  private static func memorySize(_ text: String) throws -> UInt64 {
    guard let bytes = ByteSize.bytes(of: text) else {
      throw ValidationError("expected a size such as 256M or 1G")
    }
    return bytes
  }

  private static func access(_ text: String) throws -> VMCSAccess {
    guard let access = try VMCSAccess(text) else {
      throw ValidationError("expected one of \(VMCSAccess.choices.joined(separator: ", "))")
    }
    return access
  }

  private static func wholeNumber(_ text: String) throws -> UInt64 {
    guard let number = UInt64(text) else {
      throw ValidationError("expected a whole number from 0 to \(UInt64.max)")
    }
    return number
  }

  private static func seconds(_ text: String) throws -> Double {
    guard let seconds = Double(text), seconds > 0, seconds <= 1e9 else {
      throw ValidationError("expected a number of seconds above 0, such as 10 or 0.5")
    }
    return seconds
  }
}
