import Foundation
import Testing

/// The same kernel as an ELF file, without the part of the bzImage that decompresses it.
@Suite("Linux as an ELF file", .serialized, .enabled(if: LinuxParts.areThere, "\(LinuxParts.advice)"))
struct KernelImageTests {
  /// The program that decompresses the kernel, if it is there.
  private static let program: String? = {
    guard let kernel = LinuxParts.kernels.first, let image = try? KernelImage(kernel) else { return nil }
    return image.program.flatMap { Tool.isThere($0) ? $0 : nil }
  }()

  @Test(
    "A vmlinux starts by PVH and by the 64-bit boot protocol",
    .enabled(if: program != nil, "no program on the PATH decompresses the kernel: install lz4, xz and zstd"),
    arguments: ["pvh", "linux"])
  func elfKernelBoots(_ way: String) throws {
    let kernel = try LinuxKernelTests.kernel
    let program = try #require(Self.program)
    try withTemporaryFolder { folder in
      let file = try KernelImage(kernel).decompress(by: program, into: folder)
      let run = try LinuxRun(kernel, image: file, "quiet modules=yes", options: ["--boot", way])
      #expect(run.status == 0, "\(run.ending)")
      #expect(run.lines.contains("init: /dev/kvm is there"), "\(run.ending)")
    }
  }
}
