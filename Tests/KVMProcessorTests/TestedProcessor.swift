import GuestMemory
import KVMProcessor
import Testing
import X86

// What the suite in Tests/ProcessorSuite, which every processor has to pass, runs on here.
typealias TestedProcessor = KVMCPU

func makeTestedProcessor(
  _ memory: PhysicalMemory, _ features: ProcessorFeatures
) throws -> TestedProcessor {
  try KVMCPU(memory: memory, features: features, intercepts: TestedMode.current)
}

/// How the processor that is tested finds sensitive instructions.
enum TestedMode {
  @TaskLocal static var current = InterceptMode.patched
}

/// Why each mode of the KVM processor cannot be had on this host; no mode's is there if it can.
let kvmObstacles: [InterceptMode: String] = {
  do throws(KVMError) {
    let calibration = try KVMCalibration.measured()
    return Dictionary(
      uniqueKeysWithValues: InterceptMode.allCases.compactMap { mode in
        calibration.obstacle(to: mode).map { (mode, $0) }
      })
  } catch {
    return Dictionary(uniqueKeysWithValues: InterceptMode.allCases.map { ($0, error.description) })
  }
}()

/// Runs each test of the suite by each mode that this host's KVM has, but for the declared differences.
struct OnTestedProcessor: SuiteTrait, TestTrait, TestScoping {
  var isRecursive: Bool { true }

  func provideScope(
    for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
  ) async throws {
    guard testCase != nil else { return try await function() }
    if let obstacle = kvmObstacles[.patched] { try Test.cancel("\(obstacle)") }
    let name = test.name.prefix { $0 != "(" }
    let differences = Difference.all.filter { $0.test == name }
    if let difference = differences.first(where: { $0.modes == Set(InterceptMode.allCases) }) {
      try Test.cancel("\(difference.reason)")
    }
    let left = Set(InterceptMode.allCases).subtracting(differences.flatMap(\.modes))
    for mode in InterceptMode.allCases where left.contains(mode) && kvmObstacles[mode] == nil {
      try await TestedMode.$current.withValue(mode) { try await function() }
    }
  }
}

extension Trait where Self == OnTestedProcessor {
  static var onTestedProcessor: Self { Self() }
}

/// A test of the suite that does not hold on the KVM processor.
struct Difference {
  var test: String
  var reason: String
  var modes: Set<InterceptMode>

  private init(_ test: String, _ reason: String, _ modes: Set<InterceptMode> = Set(InterceptMode.allCases)) {
    self.test = test
    self.reason = reason
    self.modes = modes
  }

  /// The tests of capabilities that are not to be had on this host.
  private static var withheld: [Difference] {
    guard let calibration = try? KVMCalibration.measured() else { return [] }
    let offered = calibration.capabilities.eptAndVPID
    let reasons = calibration.withheld.map { "\($0.capability): \($0.reason)" }.joined(separator: "; ")
    return
      (offered.contains(.accessedAndDirtyFlags)
      ? [] : ["eptAccessedAndDirtyFlags", "eptFlagsAreThoseOfTheAccesses"])
      .map { Difference($0, reasons) }
      + (offered.contains(.executeOnly)
      ? [] : ["executeOnlyPagesOfEPTAreFetchedAlone", "executeOnlyCodeCannotReadItself"])
      .map { Difference($0, reasons) }
  }

  static let all: [Difference] =
    withheld
    + [
      "aWalkThroughBothDimensionsHasItsReferences", "aWalkThatFaultsCounts", "aTranslationIsKeptByItsVPID",
      "invalidationOfAnAddressIsOfItsVPID", "withoutEPTThereIsOneDimension",
      "aDeadlineIsNotMissedByTheWalksBeforeIt",
    ].map { Difference($0, "the page walks of a virtual CPU are not counted") }
    + [
      Difference(
        "codeReadsAsItIs", "the copies of several pages are shown at a time, whoever reads", [.native]),
      Difference("determinism", "the rounds of a loop are counted by estimate", [.patched, .native]),
    ]
}

/// How many hundreds of random cases: a virtual machine for each takes KVM a few milliseconds.
let testedFuzzScale = 1
