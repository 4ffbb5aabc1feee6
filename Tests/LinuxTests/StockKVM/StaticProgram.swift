import Foundation

/// The command as one file that needs no library, to be run where there is nothing else.
///
/// It is linked from the object files of the build that the tests belong to, so nothing is compiled a second time.
enum StaticProgram {
  private static let objects = TestudoProgram.folder.appendingPathComponent(
    "testudo.product/Objects.LinkFileList")

  /// The toolchain's libraries that Foundation consists of; object files name only those that they import.
  private static let libraries = [
    "Foundation", "FoundationEssentials", "FoundationInternationalization", "_FoundationICU",
    "CoreFoundation",
    "_FoundationCollections", "_FoundationCShims", "swift_RegexParser", "swift_StringProcessing",
    "swiftSynchronization",
  ]

  static let canBeLinked =
    Tool.isThere("swiftc") && FileManager.default.fileExists(atPath: objects.path) && hasStaticLibraries
  static let advice =
    "the command cannot be linked without shared libraries: this needs a swiftc on the PATH with its static "
    + "libraries, and the object files of 'swift build' beside the tests"

  private static let hasStaticLibraries: Bool = {
    guard let output = try? Tool.output("swiftc", ["-static-executable", "-print-target-info"]) else {
      return false
    }
    struct Target: Decodable {
      struct Paths: Decodable { var runtimeResourcePath: String }
      var paths: Paths
    }
    guard let target = try? JSONDecoder().decode(Target.self, from: output) else { return false }
    return FileManager.default.fileExists(
      atPath: target.paths.runtimeResourcePath + "/linux/libFoundationEssentials.a")
  }()

  static let bytes = Result { try linked() }

  private static func linked() throws -> [UInt8] {
    try withTemporaryFolder { folder in
      let file = folder.appendingPathComponent("testudo")
      // SwiftPM gives an executable's entry another name, so that tests can import it.
      let linker = ["--gc-sections", "-s", "--defsym=main=testudo_main", "--start-group"]
      _ = try Tool.output(
        "swiftc",
        ["-static-executable", "-emit-executable", "-use-ld=lld", "-o", file.path, "@" + objects.path]
          + linker.flatMap { ["-Xlinker", $0] } + libraries.map { "-l" + $0 } + ["-Xlinker", "--end-group"])
      return Array(try Data(contentsOf: file))
    }
  }
}
