import Testing

/// A rule with a file that breaks it and one that comes close and keeps it.
struct RuleSample: Sendable, CustomTestStringConvertible {
  var rule: Rule
  var bad: SourceFile
  var good: SourceFile

  var testDescription: String { rule.name }

  init(_ rule: Rule, path: String = "Sources/Hypervisor/File.swift", bad: String, good: String) {
    self.rule = rule
    self.bad = SourceFile(path: path, text: bad)
    self.good = SourceFile(path: path, text: good)
  }
}

@Suite struct RuleTests {
  static let package = PackageDescription(
    manifest: """
      Room(name: "X86"),
      Room(name: "NestedVMX", imports: ["X86"]),
      Room(name: "Hypervisor", imports: ["X86", .product(name: "Yams", package: "Yams")]),
      """)

  static let samples: [RuleSample] = [
    RuleSample(
      Rules.declaredImports(package), bad: "public import struct NestedVMX.Route",
      good: "import X86\nimport Yams\n// import NestedVMX\nimport Foundation"),
    RuleSample(
      Rules.nestedCoreKnowsNoProcessor, path: "Sources/NestedVMX/File.swift", bad: "import Processor",
      good: "import VMX"),
    RuleSample(
      Rules.hypervisorKnowsOnlyTheContract, bad: "import SoftwareProcessor", good: "import Processor"),
    RuleSample(
      Rules.embeddedImportsNothingOutside, path: "Sources/VMX/File.swift", bad: "import Foundation",
      good: "import X86"),
    RuleSample(
      Rules.embeddedLanguage, path: "Sources/VMX/File.swift", bad: "func f() throws -> Int",
      good: "func f() throws(Fault) -> Int  // any Error"),
    RuleSample(
      Rules.embeddedLanguage, path: "Sources/VMX/File.swift", bad: "var x: any Device",
      good: "let text = \"any Device\""),
    RuleSample(Rules.noTraps, bad: "let x = try! f()", good: "let x = try f()  // never try!"),
    RuleSample(Rules.noTraps, bad: "fatalError(\"no\")", good: "print(\"fatalError()\")"),
    RuleSample(Rules.nothingLeftUndone, bad: "// TO" + "DO: finish", good: "// todos los guests"),
    RuleSample(Rules.noTestableImport, bad: "@testable import VMX", good: "import VMX  // not @testable"),
    RuleSample(
      Rules.noTypeNamedLikeATarget(package), bad: "public final class Hypervisor {",
      good: "struct HypervisorOptions {"),
    RuleSample(
      Rules.fileLength, bad: String(repeating: "  count += 1\n", count: 451),
      good: String(repeating: "  .init(.guestRIP, 1),\n", count: 451)),
    RuleSample(
      Rules.noMachinePaths, bad: "let path = \"/ho" + "me/ada/guest.elf\"",
      good: "let path = \"https://example.org/mnt/guest.elf\" // Sources/mnt/x"),
  ]

  @Test(arguments: samples)
  func ruleFindsWhatBreaksIt(_ sample: RuleSample) {
    #expect(!sample.rule.violations(sample.bad).isEmpty)
  }

  @Test(arguments: samples)
  func ruleAcceptsWhatKeepsIt(_ sample: RuleSample) {
    #expect(sample.rule.violations(sample.good) == [])
  }

  @Test(arguments: [
    Rules.nestedCoreKnowsNoProcessor, Rules.hypervisorKnowsOnlyTheContract,
    Rules.embeddedImportsNothingOutside,
    Rules.embeddedLanguage, Rules.noTraps, Rules.nothingLeftUndone, Rules.fileLength,
  ])
  func sourcesKeepTheRule(_ rule: Rule) throws {
    #expect(try Repository.sources.get().flatMap(rule.violations) == [])
  }

  @Test func sourcesKeepTheManifest() throws {
    let package = try Repository.package()
    let sources = try Repository.sources.get()
    #expect(sources.flatMap(Rules.declaredImports(package).violations) == [])
    #expect(sources.flatMap(Rules.noTypeNamedLikeATarget(package).violations) == [])
  }

  @Test func testsKeepTheirRules() throws {
    let tests = try Repository.tests.get().filter { $0.target != "ArchitectureTests" }
    #expect(tests.flatMap(Rules.noTestableImport.violations) == [])
    #expect(tests.flatMap(Rules.nothingLeftUndone.violations) == [])
  }

  @Test func nothingKnowsTheMachineItWasWrittenOn() throws {
    let kinds: Set<String> = ["swift", "c", "h", "S", "ld", "md", "yaml", "yml", "csv", "svg", "sh", "txt"]
    let folders = ["Sources", "Tests", "Guests", "Experiments", "Papers", "Benchmarks", ".ci"]
    let files = try folders.flatMap { try Repository.files(under: $0, extensions: kinds) }
    #expect(files.count > 20)
    #expect(files.flatMap(Rules.noMachinePaths.violations) == [])
  }
}
