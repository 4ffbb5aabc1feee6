import Experiments
import Foundation

/// The initial RAM disk that the tests boot: busybox, KVM's modules, `Guest/init`, Testudo's own guest hypervisor, and, if
/// the toolchain has a clang, the KVM programs of `Guest`.
enum InitialDisk {
  private static let sources = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("Guest")
  /// The KVM programs, each of one source of this name.
  private static let programs = ["l2", "exits", "multiboot"]

  /// The file, made anew beside the kernel, where a user finds it too.
  static func file(for kernel: LinuxKernel) throws -> URL {
    let file = kernel.folder.appendingPathComponent("initrd")
    try Data(archive(for: kernel).bytes).write(to: file, options: .atomic)
    return file
  }

  /// A file in `folder` that has more, and a script that `Guest/init` runs.
  static func file(
    for kernel: LinuxKernel, commands: String, adding files: [(path: String, bytes: [UInt8])], in folder: URL
  ) throws -> URL {
    var archive = try archive(for: kernel)
    let folders = Set(files.map { $0.path.split(separator: "/").dropLast().joined(separator: "/") })
    for folder in folders.sorted() where !folder.isEmpty { archive.add(directory: folder) }
    for (path, bytes) in files { archive.add(file: path, bytes) }
    archive.add(file: "commands", Array("#!/bin/sh\n\(commands)\n".utf8))
    let file = folder.appendingPathComponent("initrd")
    try Data(archive.bytes).write(to: file)
    return file
  }

  private static func archive(for kernel: LinuxKernel) throws -> NewcArchive {
    var archive = NewcArchive()
    for directory in ["bin", "dev", "proc", "sys", "tmp"] { archive.add(directory: directory) }
    archive.add(characterDevice: "dev/console", major: 5, minor: 1)
    archive.add(file: "bin/busybox", try bytes(LinuxParts.busybox))
    archive.add(file: "init", try bytes(sources.appendingPathComponent("init")))
    for name in kernel.modules { archive.add(file: name + ".ko", Array(try kernel.module(name))) }
    let minimal = try GuestCatalog.guest("minimal").unwrapped("there is no guest minimal")
    archive.add(file: "minimal.elf", minimal.image.bytes)
    if canBuildPrograms { for (name, program) in try built.get() { archive.add(file: name, program) } }
    return archive
  }

  private static func bytes(_ file: URL) throws -> [UInt8] { Array(try Data(contentsOf: file)) }

  static let canBuildPrograms = Tool.isThere("clang") && Tool.isThere("ld.lld")
  static let clangAdvice =
    "the Swift toolchain has no clang or ld.lld on the PATH, which build the KVM programs"

  private static let built = Result { try programs.map { ($0, try program($0)) } }

  /// A KVM program, which needs no library.
  private static func program(_ name: String) throws -> [UInt8] {
    try withTemporaryFolder { folder in
      let file = folder.appendingPathComponent(name)
      let options = [
        "--target=x86_64-unknown-linux-gnu", "-O2", "-static", "-nostdlib", "-ffreestanding", "-fno-pie",
        "-fno-stack-protector", "-Wall", "-Wextra", "-Werror", "-fuse-ld=lld",
      ]
      let source = sources.appendingPathComponent(name + ".c")
      _ = try Tool.output("clang", options + ["-o", file.path, source.path])
      return try bytes(file)
    }
  }
}
