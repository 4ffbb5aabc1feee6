import InstructionDecoder
import X86

/// Writes instructions in the form to which ``Disassembler`` reduces the output of LLVM's disassembler.
struct IntelSyntax {
  var instruction: Instruction
  var mode: DecodeMode
  /// The address of the instruction, of which branch targets are relative.
  var address: UInt64
  /// The byte behind the prefixes.
  var opcode: UInt8

  private static let conditions = [
    "o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g",
  ]
  private static let words = [
    "ax", "cx", "dx", "bx", "sp", "bp", "si", "di",
  ]

  /// The name that the disassembler gives the operation.
  var name: String {
    let i = instruction
    let condition = Self.conditions[Int(i.condition)]
    let size = i.operandSize
    switch i.mnemonic {
    case .movToSegment, .movFromSegment, .movToControl, .movFromControl, .movToDebug, .movFromDebug:
      return "mov"
    case .pushSegment: return "push"
    case .popSegment: return "pop"
    case .callFar: return "call"
    case .jmpFar: return "jmp"
    case .sal: return "shl"
    case .jcc: return "j" + condition
    case .setcc: return "set" + condition
    case .cmovcc: return "cmov" + condition
    case .jcxz: return i.addressSize == 2 ? "jcxz" : i.addressSize == 4 ? "jecxz" : "jrcxz"
    case .cbw: return size == 2 ? "cbw" : size == 4 ? "cwde" : "cdqe"
    case .cwd: return size == 2 ? "cwd" : size == 4 ? "cdq" : "cqo"
    case .pusha: return size == 2 ? "pushaw" : "pushal"
    case .popa: return size == 2 ? "popaw" : "popal"
    case .pushf: return size == 2 ? "pushf" : size == 4 ? "pushfd" : "pushfq"
    case .popf: return size == 2 ? "popf" : size == 4 ? "popfd" : "popfq"
    case .iret: return size == 2 ? "iret" : size == 4 ? "iretd" : "iretq"
    case .movs, .cmps, .stos, .lods, .scas, .ins, .outs:
      return "\(i.mnemonic)" + (size == 1 ? "b" : size == 2 ? "w" : size == 4 ? "d" : "q")
    case .fwait: return "wait"
    case .fxsave, .fxrstor, .xsave, .xrstor, .xsaveopt, .xsavec, .xsaves, .xrstors:
      return "\(i.mnemonic)" + (size == 8 ? "64" : "")
    case .xlat: return "xlatb"
    case .retFar: return size == 8 ? "retfq" : "retf"
    case .sysret, .sysexit: return "\(i.mnemonic)" + (size == 8 ? "q" : "")
    default: return i.mnemonic.isVector ? vectorName : "\(i.mnemonic)"
    }
  }

  /// With what the mnemonic leaves to the operands and the VEX prefix.
  private var vectorName: String {
    let i = instruction
    let wide = i.operandSize == 8
    var name = "\(i.mnemonic)"
    switch i.mnemonic {
    case .movd
    where i.operand0.size == 8 && i.operand1.kind != .memory
      || i.operand1.kind == .general && i.operand1.size == 8,
      .movd where [i.operand0, i.operand1].contains { $0.kind == .memory && $0.size == 8 }:
      name = i.operand0.kind == .mmx && i.operand1.size != 8 ? "movd" : "movq"
    case .pinsrd, .pextrd:
      if [i.operand0, i.operand1, i.operand2].contains(where: { $0.kind != .vector && $0.size == 8 }) {
        name = name.replacing("d", with: "q")
      }
    case .vpsllv, .vpsrlv, .vpmaskmov, .vpgatherd, .vpgatherq: name += wide ? "q" : "d"
    case .vgatherdp, .vgatherqp: name += wide ? "d" : "s"
    case _ where i.mnemonic.isFused:
      let isScalar = name.hasSuffix("Scalar")
      name = name.replacing("Scalar", with: "") + ["", "132", "213", "231"][Int(i.condition & 3)]
      name += (isScalar ? "s" : "p") + (wide ? "d" : "s")
    default: break
    }
    return i.prefixes.contains(.vex) && !name.hasPrefix("v") ? "v" + name : name
  }

  var text: String {
    var operands = [instruction.operand0, instruction.operand1, instruction.operand2, instruction.operand3]
      .prefix(Int(instruction.operandCount)).map(operand)
    switch instruction.mnemonic {
    case .movs: operands = [destination, source]
    case .cmps: operands = [source, destination]
    case .stos: operands = [destination, accumulator]
    case .lods: operands = [accumulator, source]
    case .scas: operands = [accumulator, destination]
    case .ins: operands = [destination, "dx"]
    case .outs: operands = ["dx", source]
    // Written with the source first.
    case .xchg where instruction.operand0.kind != .memory: operands.swapAt(0, 1)
    case .pblendvb, .blendvps, .blendvpd: if !instruction.prefixes.contains(.vex) { operands.append("xmm0") }
    default: break
    }
    // Written without the operand that the opcode implies.
    if [0xD0, 0xD1].contains(opcode), !instruction.mnemonic.isVector { operands.removeLast() }
    return ([name] + operands).joined(separator: " ")
  }

  private var source: String { segmentText + "[" + general(6, instruction.addressSize) + "]" }
  private var destination: String { "es:[" + general(7, instruction.addressSize) + "]" }
  private var accumulator: String { general(0, instruction.operandSize) }
  private func general(_ number: UInt8, _ size: UInt8) -> String {
    if number >= 8 {
      return "r\(number)" + (size == 1 ? "b" : size == 2 ? "w" : size == 4 ? "d" : "")
    }
    let word = Self.words[Int(number)]
    switch size {
    case 1: return number < 4 ? "\(word.prefix(1))l" : "\(word)l"
    case 2: return word
    case 4: return "e" + word
    default: return "r" + word
    }
  }

  private func operand(_ operand: Operand) -> String {
    switch operand.kind {
    case .none: return "?"
    // The general register of MOV to a segment register is written in the operand size.
    case .general where instruction.mnemonic == .movToSegment:
      return general(operand.register, instruction.operandSize)
    case .general: return general(operand.register, operand.size)
    case .highByte: return ["ah", "ch", "dh", "bh"][Int(operand.register)]
    case .segment: return ["es", "cs", "ss", "ds", "fs", "gs"][Int(operand.register)]
    case .control: return "cr\(operand.register)"
    case .debug: return "dr\(operand.register)"
    case .memory: return memory
    case .x87: return "st(\(operand.register))"
    case .mmx: return "mm\(operand.register)"
    case .vector: return (operand.size == 32 ? "ymm" : "xmm") + "\(operand.register)"
    case .immediate where operand == instruction.operand1 && instruction.mnemonic == .enter:
      return number(UInt64(instruction.immediate2))
    case .immediate: return number(instruction.immediate)
    case .relative:
      let target = address &+ UInt64(instruction.length) &+ instruction.immediate
      return number(target)
    case .farPointer: return number(UInt64(instruction.immediate2)) + " " + number(instruction.immediate)
    }
  }

  private var segmentText: String {
    instruction.prefixes.contains(.segmentOverride) ? "\(instruction.address.segment):" : ""
  }

  /// The memory operand without its size: `segment:[base+scale*index+displacement]`.
  private var memory: String {
    let address = instruction.address
    var parts: [String] = []
    let size = instruction.addressSize
    if address.base == MemoryAddress.instructionPointer {
      parts.append(size == 8 ? "rip" : "eip")
    } else if address.base != MemoryAddress.none {
      parts.append(general(address.base, size))
    }
    if address.index != MemoryAddress.none {
      let scale = address.scale == 1 ? "" : "\(address.scale)*"
      parts.append(scale + (vectorIndex ?? general(address.index, size)))
    }
    let displacement = UInt64(bitPattern: address.displacement)
    if displacement != 0 || parts.isEmpty { parts.append(number(displacement)) }
    return segmentText + "[" + parts.joined(separator: "+") + "]"
  }

  /// The index register of a gather.
  private var vectorIndex: String? {
    let i = instruction
    let indexSize: Int
    switch i.mnemonic {
    case .vgatherdp, .vpgatherd: indexSize = 4
    case .vgatherqp, .vpgatherq: indexSize = 8
    default: return nil
    }
    let count = (i.prefixes.contains(.vex256) ? 32 : 16) / max(indexSize, Int(i.operandSize))
    return (count * indexSize > 16 ? "ymm" : "xmm") + "\(i.address.index)"
  }

  private func number(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }
}
