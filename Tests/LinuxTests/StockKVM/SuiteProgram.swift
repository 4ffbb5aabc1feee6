import Foundation

/// The tests of the KVM processor as a program of its own, with the shared libraries that it needs, to be run where there is
/// nothing else. (Swift's toolchain has the library of the tests only as a shared one.)
///
/// It is linked from the object files of the build that these tests belong to, so only its entry is compiled.
enum SuiteProgram {
  private static let objects = TestudoProgram.folder.appendingPathComponent(
    "TestudoPackageTests.product/Objects.LinkFileList")

  /// The tests, and what they stand on.
  private static let modules = [
    "KVMProcessorTests", "KVMProcessor", "CKVM", "SoftwareProcessor", "Processor", "InstructionDecoder",
    "Translation", "EntryChecks", "Trace", "GuestMemory", "VMX", "X86",
  ]

  private static let entry = """
    import Testing

    @main struct Program {
      static func main() async { await Testing.__swiftPMEntryPoint() as Never }
    }
    """

  static let canBeBuilt =
    Tool.isThere("swiftc") && Tool.isThere("ldd") && FileManager.default.fileExists(atPath: objects.path)
  static let advice =
    "the processor's tests cannot be linked once more: this needs a swiftc and ldd on the PATH, and the object files of "
    + "'swift build --build-tests' beside the tests"

  /// A command for a shell that runs them one after the other, each of those that `filter` matches; its output is in `file`.
  static func command(filter: String, skipping skipped: [String], seconds: Int, to file: String) -> String {
    // A backtrace of every error thrown, which the library takes otherwise, is half of the time.
    "LD_LIBRARY_PATH=/lib HOME=/tmp SWT_SWIFT_ERROR_BACKTRACING_ENABLED=0 timeout \(seconds) /suite "
      + "--testing-library swift-testing --no-parallel --filter '\(filter)'"
      + skipped.map { " --skip '\($0)'" }.joined() + " >\(file) 2>&1"
  }

  /// The program as /suite, and its libraries where it looks for them.
  static let files = Result { try linked() }

  private static func linked() throws -> [(path: String, bytes: [UInt8])] {
    try withTemporaryFolder { folder in
      let source = folder.appendingPathComponent("Program.swift")
      let list = folder.appendingPathComponent("objects")
      let program = folder.appendingPathComponent("suite")
      try Data(entry.utf8).write(to: source)
      let all = try String(contentsOf: objects, encoding: .utf8).split(separator: "\n")
      let needed = all.filter { object in modules.contains { object.contains("/\($0).build/") } }
      try Data(needed.joined(separator: "\n").utf8).write(to: list)
      _ = try Tool.output(
        "swiftc",
        ["-parse-as-library", "-emit-executable", "-use-ld=lld", "-Xlinker", "-s", "-o", program.path]
          + [source.path, "@" + list.path])
      return [(path: "suite", bytes: Array(try Data(contentsOf: program)))] + (try libraries(of: program))
    }
  }

  /// What ldd lists: each library in /lib by its name, and the loader where the program names it.
  private static func libraries(of program: URL) throws -> [(path: String, bytes: [UInt8])] {
    let listed = String(decoding: try Tool.output("ldd", [program.path]), as: UTF8.self)
    let paths = Set(listed.matches(of: /\/[^ \n]+\.so[^ \n]*/).map { String($0.0) })
    return try paths.sorted().map { path in
      let file = URL(fileURLWithPath: path)
      let isLoader = file.lastPathComponent.hasPrefix("ld-linux")
      return (
        path: isLoader ? String(path.dropFirst()) : "lib/" + file.lastPathComponent,
        bytes: Array(try Data(contentsOf: file.resolvingSymlinksInPath()))
      )
    }
  }
}
