import Foundation
import Hypervisor
import NestedRig

/// Code for a ``CodeImage``, assembled by the clang of the Swift toolchain.
///
/// It is position-independent, for nothing links it: addresses come from LEA with RIP.
enum Assembly {
  struct Failure: Error { var message: String }

  /// The machine code of `source`, in AT&T syntax, after the macros of ``prelude``.
  static func code(_ source: String) throws -> [UInt8] {
    let folder = FileManager.default.temporaryDirectory.appending(path: "testudo-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let text = folder.appending(path: "code.S")
    let object = folder.appending(path: "code.o")
    let binary = folder.appending(path: "code.bin")
    try (prelude + source).write(to: text, atomically: true, encoding: .utf8)
    try run("clang", ["--target=x86_64-unknown-none-elf", "-c", text.path, "-o", object.path])
    try run("llvm-objcopy", ["-O", "binary", "-j", ".text", object.path, binary.path])
    return Array(try Data(contentsOf: binary))
  }

  /// The macros that every test needs: `done` ends the run with the value of EAX, `gate` fills an entry of the IDT at
  /// 200000H, `start` makes a stack and the processor use that IDT.
  private static let prelude = """
    .set APIC, 0xFEE00000
    .set IDT, 0x200000
    .set STACK, 0x300000
    .macro done
      outl %eax, $0xF4
    .endm
    .macro gate vector, handler
      leaq \\handler(%rip), %rax
      movl $(IDT + 16 * \\vector), %edi
      movw %ax, (%rdi)
      movw %cs, 2(%rdi)
      movw $0x8E00, 4(%rdi)
      shrq $16, %rax
      movw %ax, 6(%rdi)
      movl $0, 8(%rdi)
    .endm
    .macro start
      movl $STACK, %esp
      pushq $IDT
      subq $2, %rsp
      movw $0xFFF, (%rsp)
      lidt (%rsp)
      movl $STACK, %esp
    .endm
    .text

    """

  private static func run(_ tool: String, _ arguments: [String]) throws {
    let process = Process()
    let errors = Pipe()
    process.executableURL = try toolchain().appending(path: tool)
    process.arguments = arguments
    process.standardError = errors
    try process.run()
    let message = errors.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
      throw Failure(message: String(decoding: message, as: UTF8.self))
    }
  }

  /// The folder of a toolchain on PATH that has both tools.
  private static func toolchain() throws -> URL {
    let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
    for folder in path.split(separator: ":").map({ URL(filePath: String($0)) }) {
      let tools = ["clang", "llvm-objcopy"].map { folder.appending(path: $0).path }
      if tools.allSatisfy(FileManager.default.isExecutableFile) { return folder }
      // The swiftc on PATH may be a link into the toolchain.
      let real = folder.appending(path: "swiftc").resolvingSymlinksInPath().deletingLastPathComponent()
      let linked = ["clang", "llvm-objcopy"].map { real.appending(path: $0).path }
      if linked.allSatisfy(FileManager.default.isExecutableFile) { return real }
    }
    throw Failure(message: "no folder on PATH has the clang and llvm-objcopy of a Swift toolchain")
  }
}

/// Runs `source` as L1 in 64-bit mode; see ``Assembly``.
func runAssembly(
  _ source: String, _ configure: (inout MachineConfiguration) -> Void = { _ in }
) throws -> GuestRun {
  try runGuest(CodeImage(try Assembly.code(source)).image, "") {
    $0.bootProtocol = .entry64
    $0.memorySize = 16 << 20
    $0.instructionLimit = 20_000_000
    configure(&$0)
  }
}
