import GuestMemory
import SoftwareProcessor
import Testing
import X86

// What the suite in Tests/ProcessorSuite, which every processor has to pass, runs on here.
typealias TestedProcessor = SoftwareCPU

func makeTestedProcessor(
  _ memory: PhysicalMemory, _ features: ProcessorFeatures
) throws -> TestedProcessor {
  try #require(SoftwareCPU(memory: memory, features: features))
}

/// The software processor is everywhere, and the reference: no test of the suite is left out.
struct OnTestedProcessor: SuiteTrait {}

extension Trait where Self == OnTestedProcessor {
  static var onTestedProcessor: Self { Self() }
}

/// How many hundreds of random cases: debug builds are slow.
#if DEBUG
  let testedFuzzScale = 1
#else
  let testedFuzzScale = 20
#endif
