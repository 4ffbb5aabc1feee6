import Foundation
import InstructionDecoder

/// LLVM's disassembler, as an independent opinion on what bytes mean.
struct Disassembler {
  var clang: String
  var objdump: String

  /// One line of its output.
  struct Line {
    var length: Int
    /// Name and operands, or nil for bytes that it does not know.
    var text: String?
  }

  /// The distance of the cases from each other: room for a case and NOPs to find the way again.
  static let stride = 32

  /// The tools beside `swiftc` on the path, or nil if there are none.
  static func find() -> Disassembler? {
    let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
    for folder in path.split(separator: ":").map(String.init) {
      let tools = ["swiftc", "clang", "llvm-objdump"].map { folder + "/" + $0 }
      if tools.allSatisfy(FileManager.default.isExecutableFile(atPath:)) {
        return Disassembler(clang: tools[1], objdump: tools[2])
      }
    }
    return nil
  }

  /// What each case starts with. Case `n` lies at address `n * stride`.
  func disassemble(_ cases: [[UInt8]], _ mode: DecodeMode) throws -> [Line] {
    let folder = FileManager.default.temporaryDirectory.appending(path: "disassembly-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    var source = ".text\n"
    for (number, code) in cases.enumerated() {
      let all = code + [UInt8](repeating: 0x90, count: Self.stride - code.count)
      source += "c\(number):\n.byte " + all.map { String($0) }.joined(separator: ",") + "\n"
    }
    let assembly = folder.appending(path: "cases.s")
    let object = folder.appending(path: "cases.o")
    try source.write(to: assembly, atomically: true, encoding: .utf8)
    _ = try run(clang, ["--target=x86_64-unknown-linux-gnu", "-c", assembly.path, "-o", object.path])
    let triple =
      switch mode {
      case .real16, .protected16: "i386-unknown-none-code16"
      case .protected32: "i386-unknown-linux-gnu"
      case .long64: "x86_64-unknown-linux-gnu"
      }
    let arguments = ["-d", "--triple=\(triple)", "-M", "intel", object.path]
    return parse(try run(objdump, arguments), count: cases.count)
  }

  private func run(_ tool: String, _ arguments: [String]) throws -> String {
    let process = Process()
    let output = Pipe()
    process.executableURL = URL(filePath: tool)
    process.arguments = arguments
    process.standardOutput = output
    process.standardError = FileHandle.nullDevice
    try process.run()
    let data = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return String(decoding: data, as: UTF8.self)
  }

  private func parse(_ output: String, count: Int) -> [Line] {
    var lines = [Line](repeating: Line(length: 0), count: count)
    var isComplete = [Bool](repeating: false, count: count)
    for line in output.split(separator: "\n") {
      guard let colon = line.firstIndex(of: ":"),
        let address = Int(line[..<colon].drop { $0 == " " }, radix: 16), address / Self.stride < count
      else { continue }
      let number = address / Self.stride
      let fields = line[line.index(after: colon)...].split(separator: "\t", maxSplits: 1)
      guard fields.count == 2, !isComplete[number] else { continue }
      let text = Self.reduced(fields[1])
      lines[number].length += fields[0].split(separator: " ").count
      // It writes some prefixes as instructions of their own.
      guard text != "" else { continue }
      isComplete[number] = true
      lines[number].text = text == "unknown" ? nil : text
    }
    return lines
  }

  private static let prefixes: Set<String> = [
    "lock", "rep", "repe", "repne", "data16", "data32", "addr16", "addr32", "rex64", "notrack",
    "xacquire", "xrelease", "cs", "ds", "es", "ss", "fs", "gs",
  ]

  /// Name and operands with single spaces between them, without sizes, prefixes and comments.
  private static func reduced(_ text: Substring) -> String {
    if text.hasPrefix("<unknown>") { return "unknown" }
    var text = String(text.prefix { $0 != "#" && $0 != "<" }).replacing("\t", with: " ")
    text = text.replacing(#/[a-z]+ ptr /#, with: "")
    for (long, short) in [
      (", ", " "), (" - ", "+-"), (" + ", "+"), ("1*", ""), ("movabs", "mov"), ("lcall", "call"),
      ("ljmp", "jmp"), ("dtd ", "dt "), ("dtw ", "dt "),
    ] {
      text = text.replacing(long, with: short)
    }
    // A SIB byte without an index.
    text = text.replacing(#/\+?([248]\*)?[re]iz(?=\+|\])/#, with: "").replacing("[+", with: "[")
    let tokens = text.split(separator: " ").map(String.init)
    return tokens.drop { prefixes.contains($0) || $0.hasPrefix("rex.") }.joined(separator: " ")
  }
}
