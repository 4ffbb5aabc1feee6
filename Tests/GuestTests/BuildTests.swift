import Foundation
import Testing

/// Guests/build against what is committed.
@Suite("Building the guests")
struct BuildTests {
  @Test(
    "Images rebuilt in another directory are the committed ones, and use no SSE",
    .enabled(
      if: Toolchain.canRebuildImages,
      "the images can be compared only with a full Swift \(Toolchain.pinnedVersion) release toolchain"))
  func rebuild() throws {
    try withCopyOfSources { copy in
      let build = try CommandResult(
        [
          "Guests/build", "--output", "out put", "--symbols", "symbols",
        ], in: copy)
      try #require(build.status == 0, "\(build.output)")
      for name in Repository.imageNames + ["SHA256SUMS"] {
        let rebuilt = try Data(contentsOf: copy.appendingPathComponent("out put/\(name)"))
        let committed = try Data(contentsOf: Repository.images.appendingPathComponent(name))
        #expect(
          rebuilt == committed, "\(name) is not what its sources give; run Guests/build and commit the images"
        )
      }
      for name in ["minimal.elf", "carrier.elf"] {
        try expectNoSSE(copy.appendingPathComponent("symbols/\(name)"))
      }
    }
  }

  @Test(
    "The vocabulary, the checks and the nested core compile as Embedded Swift",
    .enabled(if: Toolchain.canBuildGuests, "the Swift toolchain has no clang, ld.lld or llvm-objcopy"))
  func embedded() throws {
    let build = try CommandResult([
      Repository.guests.appendingPathComponent("build").path, "--check-embedded",
    ])
    #expect(build.status == 0, "\(build.output)")
    for module in ["X86", "VMX", "EntryChecks", "Translation", "NestedVMX"] {
      #expect(build.output.contains("module \(module)\n"))
    }
  }

  @Test("A wrong argument and a missing toolchain are one-line errors")
  func errors() throws {
    let script = Repository.guests.appendingPathComponent("build").path
    let argument = try CommandResult([script, "--colour"])
    #expect(argument.status == 1)
    #expect(argument.output.hasPrefix("Guests/build: unknown argument --colour"))
    let toolchain = try CommandResult(["SWIFT_TOOLCHAIN=/nonexistent", script])
    #expect(toolchain.status == 1)
    #expect(toolchain.output.contains("/nonexistent/usr/bin has no swiftc"))
    #expect(toolchain.output.split(separator: "\n").count == 1)
  }

  @Test("SHA256SUMS lists the committed images")
  func digests() throws {
    let list = try String(contentsOf: Repository.images.appendingPathComponent("SHA256SUMS"), encoding: .utf8)
    let listed = Dictionary(
      uniqueKeysWithValues: list.split(separator: "\n").map { line in
        let words = line.split(separator: " ")
        return (String(words[1]), String(words[0]))
      })
    #expect(listed.keys.sorted() == Repository.imageNames.sorted())
    for name in Repository.imageNames {
      #expect(listed[name] == SHA256.hexadecimalDigest(of: try Repository.image(name)))
    }
  }

  /// Nobody saves the SSE registers between L1 and L2.
  private func expectNoSSE(_ image: URL) throws {
    let tool = try #require(Toolchain.tools).appendingPathComponent("llvm-objdump").path
    let listing = try CommandResult([tool, "-d", "--no-show-raw-insn", image.path])
    try #require(listing.status == 0, "\(listing.output)")
    #expect(listing.output.contains("vmlaunch"))
    #expect(!listing.output.contains("%xmm"))
  }

  /// Calls `body` with a directory that holds copies of Guests and Sources, under a name with a space.
  private func withCopyOfSources(_ body: (URL) throws -> Void) throws {
    let files = FileManager.default
    let copy = files.temporaryDirectory.appendingPathComponent("guest build \(UUID().uuidString)")
    try files.createDirectory(at: copy, withIntermediateDirectories: true)
    defer { try? files.removeItem(at: copy) }
    let modules = ["X86", "VMX", "EntryChecks", "Translation", "NestedVMX"].map { "Sources/\($0)" }
    for directory in ["Guests"] + modules {
      let target = copy.appendingPathComponent(directory)
      try files.createDirectory(at: target.deletingLastPathComponent(), withIntermediateDirectories: true)
      try files.copyItem(at: Repository.root.appendingPathComponent(directory), to: target)
    }
    try body(copy)
  }
}
