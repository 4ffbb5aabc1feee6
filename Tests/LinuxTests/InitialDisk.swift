import Foundation

/// The initial RAM disk that the tests boot: busybox, KVM's modules, `Guest/init`, and, if the toolchain has a clang,
/// `Guest/l2.c`.
enum InitialDisk {
  private static let sources = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("Guest")

  /// The file, made anew beside the kernel, where a user finds it too.
  static func file(for kernel: LinuxKernel) throws -> URL {
    let file = kernel.folder.appendingPathComponent("initrd")
    try archive(for: kernel).write(to: file, options: .atomic)
    return file
  }

  private static func archive(for kernel: LinuxKernel) throws -> Data {
    var archive = CPIOArchive()
    for directory in ["bin", "dev", "proc", "sys"] { archive.add(directory: directory) }
    archive.add(characterDevice: "dev/console", major: 5, minor: 1)
    archive.add(file: "bin/busybox", try Data(contentsOf: LinuxParts.busybox))
    archive.add(file: "init", try Data(contentsOf: sources.appendingPathComponent("init")))
    for name in LinuxKernel.moduleNames { archive.add(file: name + ".ko", try kernel.module(name)) }
    if canBuildProgram { archive.add(file: "l2", try program()) }
    return archive.finished()
  }

  static let canBuildProgram = Tool.isThere("clang") && Tool.isThere("ld.lld")
  static let clangAdvice =
    "the Swift toolchain has no clang or ld.lld on the PATH, which build the KVM program"

  /// The KVM program, which needs no library.
  private static func program() throws -> Data {
    try withTemporaryFolder { folder in
      let file = folder.appendingPathComponent("l2").path
      let options = [
        "--target=x86_64-unknown-linux-gnu", "-O2", "-static", "-nostdlib", "-ffreestanding", "-fno-pie",
        "-fno-stack-protector", "-Wall", "-Wextra", "-Werror", "-fuse-ld=lld",
      ]
      _ = try Tool.output("clang", options + ["-o", file, sources.appendingPathComponent("l2.c").path])
      return try Data(contentsOf: URL(fileURLWithPath: file))
    }
  }
}
