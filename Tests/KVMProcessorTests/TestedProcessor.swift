import GuestMemory
import KVMProcessor
import Testing
import X86

// What the suite in Tests/ProcessorSuite, which every processor has to pass, runs on here.
typealias TestedProcessor = KVMCPU

func makeTestedProcessor(
  _ memory: PhysicalMemory, _ features: ProcessorFeatures
) throws -> TestedProcessor {
  try KVMCPU(memory: memory, features: features)
}

/// Why the KVM processor cannot be made on this host, or nil if it can.
let kvmObstacle: String? = {
  do throws(KVMError) {
    return try KVMCalibration.measured().obstacle(to: .patched)
  } catch {
    return error.description
  }
}()

/// Runs the suite but for the declared differences, if this host has a KVM for it.
struct OnTestedProcessor: SuiteTrait, TestTrait, TestScoping {
  var isRecursive: Bool { true }

  func provideScope(
    for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
  ) async throws {
    guard testCase != nil else { return try await function() }
    if let kvmObstacle { try Test.cancel("\(kvmObstacle)") }
    let name = test.name.prefix { $0 != "(" }
    if let difference = Difference.all.first(where: { $0.test == name }) {
      try Test.cancel("\(difference.reason)")
    }
    try await function()
  }
}

extension Trait where Self == OnTestedProcessor {
  static var onTestedProcessor: Self { Self() }
}

/// A test of the suite that does not hold on the KVM processor.
struct Difference {
  var test: String
  var reason: String

  static let all: [Difference] =
    [
      Difference(
        "eptAccessedAndDirtyFlags",
        "a virtual CPU's accesses set no flags in EPT, so the capability MSRs do not offer them")
    ]
    + [
      "aWalkThroughBothDimensionsHasItsReferences", "aWalkThatFaultsCounts", "aTranslationIsKeptByItsVPID",
      "invalidationOfAnAddressIsOfItsVPID", "withoutEPTThereIsOneDimension",
      "aDeadlineIsNotMissedByTheWalksBeforeIt",
    ].map { Difference($0, "the page walks of a virtual CPU are not counted") }

  private init(_ test: String, _ reason: String) {
    self.test = test
    self.reason = reason
  }
}

/// How many hundreds of random cases: a virtual machine for each takes KVM a few milliseconds.
let testedFuzzScale = 1
