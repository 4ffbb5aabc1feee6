import GuestMemory
import SoftwareProcessor
import Testing
import X86

extension BareProcessor {
  /// A 64-bit processor of 1 MByte with `code` at 1000H, RIP there, and a stack below F000H.
  static func running(_ code: [UInt8], _ codeSize: CodeSize = .bits64) throws -> BareProcessor {
    let processor = try #require(BareProcessor(memorySize: 1 << 20, codeSize))
    processor.place(code, at: 0x1000)
    processor.rip = 0x1000
    processor.registers[.rsp] = 0xF000
    return processor
  }

  func place(_ code: [UInt8], at address: UInt64) {
    _ = code.withUnsafeBytes { memory.write($0, at: PhysicalAddress<L0>(address)) }
  }

  func word(_ address: UInt64) -> UInt64 {
    memory.load(PhysicalAddress<L0>(address), as: UInt64.self) ?? 0
  }
}
