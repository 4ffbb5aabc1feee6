import InstructionDecoder

extension Core {
  /// Executes instructions until `budget` of them have retired, or a system instruction has executed; never more than
  /// `budget`.
  ///
  /// When it returns or throws, `rip`, the flags and the clock are exact. On a throw, the instruction at `rip` has not
  /// retired.
  func execute(budget: Int64) throws(Interruption) {
    cpu.pointee.budget = budget
    cpu.pointee.counted = budget
    do {
      try run()
    } catch {
      countRetired()
      throw error
    }
    countRetired()
  }

  /// Executes a system instruction at `rip`, under an exact clock.
  private func runSystem(_ instruction: UnsafePointer<Instruction>) throws(Interruption) {
    countRetired()
    try executeSystem(instruction.pointee)
    cpu.pointee.budget &-= 1
  }

  /// The interpreter's loop. Inside it, what is left of the budget is exact at the start of each block only: a record
  /// knows how many instructions of its block came before it.
  private func run() throws(Interruption) {
    var budget = cpu.pointee.budget
    var jump: JumpSource?
    outer: while budget > 0 {
      var block = try block(within: budget, from: jump)
      var record = block.records
      var system: UnsafePointer<Instruction>?
      jump = nil
      do throws(Interruption) {
        blocks: while true {
          records: while true {
            switch record.pointee.operation {
            case .straight:
              rip = block.pointee.rip &+ UInt64(record.pointee.offset)
              if let instruction = record.pointee.instruction { try executeInteger(instruction.pointee) }
            case .branch:
              rip = block.pointee.rip &+ UInt64(record.pointee.offset)
              if let instruction = record.pointee.instruction { try executeInteger(instruction.pointee) }
              break blocks
            case .system:
              rip = block.pointee.rip &+ UInt64(record.pointee.offset)
              system = record.pointee.instruction
              budget &+= record.pointee.unretired
              break blocks
            case .stale:
              rip = block.pointee.rip &+ UInt64(record.pointee.offset)
              budget &+= record.pointee.unretired
              break blocks
            case .next, .jmp: break records
            case .call:
              try pushInline(
                block.pointee.rip &+ UInt64(record.pointee.offset) &+ UInt64(record.pointee.length))
              break records
            case .jmpR:
              try jumpIndirect(to: self[register: record.pointee.source])
              break blocks
            case .jmpM:
              try jumpIndirect(to: try loadOperand(.qword, record))
              break blocks
            case .callR:
              try callIndirect(to: self[register: record.pointee.source], record, in: block)
              break blocks
            case .callM:
              try callIndirect(to: try loadOperand(.qword, record), record, in: block)
              break blocks
            case .ret:
              try returnNear()
              break blocks
            case .addRR4: try binary(.add, .rr, .dword, record)
            case .addRR8: try binary(.add, .rr, .qword, record)
            case .addRI4: try binary(.add, .ri, .dword, record)
            case .addRI8: try binary(.add, .ri, .qword, record)
            case .addRM4: try binary(.add, .rm, .dword, record)
            case .addRM8: try binary(.add, .rm, .qword, record)
            case .addMR4: try binary(.add, .mr, .dword, record)
            case .addMR8: try binary(.add, .mr, .qword, record)
            case .addMI4: try binary(.add, .mi, .dword, record)
            case .addMI8: try binary(.add, .mi, .qword, record)
            case .orRR4: try binary(.or, .rr, .dword, record)
            case .orRR8: try binary(.or, .rr, .qword, record)
            case .orRI4: try binary(.or, .ri, .dword, record)
            case .orRI8: try binary(.or, .ri, .qword, record)
            case .orRM4: try binary(.or, .rm, .dword, record)
            case .orRM8: try binary(.or, .rm, .qword, record)
            case .orMR4: try binary(.or, .mr, .dword, record)
            case .orMR8: try binary(.or, .mr, .qword, record)
            case .orMI4: try binary(.or, .mi, .dword, record)
            case .orMI8: try binary(.or, .mi, .qword, record)
            case .adcRR4: try binary(.adc, .rr, .dword, record)
            case .adcRR8: try binary(.adc, .rr, .qword, record)
            case .adcRI4: try binary(.adc, .ri, .dword, record)
            case .adcRI8: try binary(.adc, .ri, .qword, record)
            case .adcRM4: try binary(.adc, .rm, .dword, record)
            case .adcRM8: try binary(.adc, .rm, .qword, record)
            case .adcMR4: try binary(.adc, .mr, .dword, record)
            case .adcMR8: try binary(.adc, .mr, .qword, record)
            case .adcMI4: try binary(.adc, .mi, .dword, record)
            case .adcMI8: try binary(.adc, .mi, .qword, record)
            case .sbbRR4: try binary(.sbb, .rr, .dword, record)
            case .sbbRR8: try binary(.sbb, .rr, .qword, record)
            case .sbbRI4: try binary(.sbb, .ri, .dword, record)
            case .sbbRI8: try binary(.sbb, .ri, .qword, record)
            case .sbbRM4: try binary(.sbb, .rm, .dword, record)
            case .sbbRM8: try binary(.sbb, .rm, .qword, record)
            case .sbbMR4: try binary(.sbb, .mr, .dword, record)
            case .sbbMR8: try binary(.sbb, .mr, .qword, record)
            case .sbbMI4: try binary(.sbb, .mi, .dword, record)
            case .sbbMI8: try binary(.sbb, .mi, .qword, record)
            case .andRR4: try binary(.and, .rr, .dword, record)
            case .andRR8: try binary(.and, .rr, .qword, record)
            case .andRI4: try binary(.and, .ri, .dword, record)
            case .andRI8: try binary(.and, .ri, .qword, record)
            case .andRM4: try binary(.and, .rm, .dword, record)
            case .andRM8: try binary(.and, .rm, .qword, record)
            case .andMR4: try binary(.and, .mr, .dword, record)
            case .andMR8: try binary(.and, .mr, .qword, record)
            case .andMI4: try binary(.and, .mi, .dword, record)
            case .andMI8: try binary(.and, .mi, .qword, record)
            case .subRR4: try binary(.sub, .rr, .dword, record)
            case .subRR8: try binary(.sub, .rr, .qword, record)
            case .subRI4: try binary(.sub, .ri, .dword, record)
            case .subRI8: try binary(.sub, .ri, .qword, record)
            case .subRM4: try binary(.sub, .rm, .dword, record)
            case .subRM8: try binary(.sub, .rm, .qword, record)
            case .subMR4: try binary(.sub, .mr, .dword, record)
            case .subMR8: try binary(.sub, .mr, .qword, record)
            case .subMI4: try binary(.sub, .mi, .dword, record)
            case .subMI8: try binary(.sub, .mi, .qword, record)
            case .xorRR4: try binary(.xor, .rr, .dword, record)
            case .xorRR8: try binary(.xor, .rr, .qword, record)
            case .xorRI4: try binary(.xor, .ri, .dword, record)
            case .xorRI8: try binary(.xor, .ri, .qword, record)
            case .xorRM4: try binary(.xor, .rm, .dword, record)
            case .xorRM8: try binary(.xor, .rm, .qword, record)
            case .xorMR4: try binary(.xor, .mr, .dword, record)
            case .xorMR8: try binary(.xor, .mr, .qword, record)
            case .xorMI4: try binary(.xor, .mi, .dword, record)
            case .xorMI8: try binary(.xor, .mi, .qword, record)
            case .cmpRR4: try binary(.cmp, .rr, .dword, record)
            case .cmpRR8: try binary(.cmp, .rr, .qword, record)
            case .cmpRI4: try binary(.cmp, .ri, .dword, record)
            case .cmpRI8: try binary(.cmp, .ri, .qword, record)
            case .cmpRM4: try binary(.cmp, .rm, .dword, record)
            case .cmpRM8: try binary(.cmp, .rm, .qword, record)
            case .cmpMR4: try binary(.cmp, .mr, .dword, record)
            case .cmpMR8: try binary(.cmp, .mr, .qword, record)
            case .cmpMI4: try binary(.cmp, .mi, .dword, record)
            case .cmpMI8: try binary(.cmp, .mi, .qword, record)
            case .testRR4: try binary(.test, .rr, .dword, record)
            case .testRR8: try binary(.test, .rr, .qword, record)
            case .testRI4: try binary(.test, .ri, .dword, record)
            case .testRI8: try binary(.test, .ri, .qword, record)
            case .testRM4: try binary(.test, .rm, .dword, record)
            case .testRM8: try binary(.test, .rm, .qword, record)
            case .testMR4: try binary(.test, .mr, .dword, record)
            case .testMR8: try binary(.test, .mr, .qword, record)
            case .testMI4: try binary(.test, .mi, .dword, record)
            case .testMI8: try binary(.test, .mi, .qword, record)
            case .addRR1: try binary(.add, .rr, .byte, record)
            case .addRR2: try binary(.add, .rr, .word, record)
            case .addRI1: try binary(.add, .ri, .byte, record)
            case .addRI2: try binary(.add, .ri, .word, record)
            case .addRM1: try binary(.add, .rm, .byte, record)
            case .addRM2: try binary(.add, .rm, .word, record)
            case .addMR1: try binary(.add, .mr, .byte, record)
            case .addMR2: try binary(.add, .mr, .word, record)
            case .addMI1: try binary(.add, .mi, .byte, record)
            case .addMI2: try binary(.add, .mi, .word, record)
            case .orRR1: try binary(.or, .rr, .byte, record)
            case .orRR2: try binary(.or, .rr, .word, record)
            case .orRI1: try binary(.or, .ri, .byte, record)
            case .orRI2: try binary(.or, .ri, .word, record)
            case .orRM1: try binary(.or, .rm, .byte, record)
            case .orRM2: try binary(.or, .rm, .word, record)
            case .orMR1: try binary(.or, .mr, .byte, record)
            case .orMR2: try binary(.or, .mr, .word, record)
            case .orMI1: try binary(.or, .mi, .byte, record)
            case .orMI2: try binary(.or, .mi, .word, record)
            case .adcRR1: try binary(.adc, .rr, .byte, record)
            case .adcRR2: try binary(.adc, .rr, .word, record)
            case .adcRI1: try binary(.adc, .ri, .byte, record)
            case .adcRI2: try binary(.adc, .ri, .word, record)
            case .adcRM1: try binary(.adc, .rm, .byte, record)
            case .adcRM2: try binary(.adc, .rm, .word, record)
            case .adcMR1: try binary(.adc, .mr, .byte, record)
            case .adcMR2: try binary(.adc, .mr, .word, record)
            case .adcMI1: try binary(.adc, .mi, .byte, record)
            case .adcMI2: try binary(.adc, .mi, .word, record)
            case .sbbRR1: try binary(.sbb, .rr, .byte, record)
            case .sbbRR2: try binary(.sbb, .rr, .word, record)
            case .sbbRI1: try binary(.sbb, .ri, .byte, record)
            case .sbbRI2: try binary(.sbb, .ri, .word, record)
            case .sbbRM1: try binary(.sbb, .rm, .byte, record)
            case .sbbRM2: try binary(.sbb, .rm, .word, record)
            case .sbbMR1: try binary(.sbb, .mr, .byte, record)
            case .sbbMR2: try binary(.sbb, .mr, .word, record)
            case .sbbMI1: try binary(.sbb, .mi, .byte, record)
            case .sbbMI2: try binary(.sbb, .mi, .word, record)
            case .andRR1: try binary(.and, .rr, .byte, record)
            case .andRR2: try binary(.and, .rr, .word, record)
            case .andRI1: try binary(.and, .ri, .byte, record)
            case .andRI2: try binary(.and, .ri, .word, record)
            case .andRM1: try binary(.and, .rm, .byte, record)
            case .andRM2: try binary(.and, .rm, .word, record)
            case .andMR1: try binary(.and, .mr, .byte, record)
            case .andMR2: try binary(.and, .mr, .word, record)
            case .andMI1: try binary(.and, .mi, .byte, record)
            case .andMI2: try binary(.and, .mi, .word, record)
            case .subRR1: try binary(.sub, .rr, .byte, record)
            case .subRR2: try binary(.sub, .rr, .word, record)
            case .subRI1: try binary(.sub, .ri, .byte, record)
            case .subRI2: try binary(.sub, .ri, .word, record)
            case .subRM1: try binary(.sub, .rm, .byte, record)
            case .subRM2: try binary(.sub, .rm, .word, record)
            case .subMR1: try binary(.sub, .mr, .byte, record)
            case .subMR2: try binary(.sub, .mr, .word, record)
            case .subMI1: try binary(.sub, .mi, .byte, record)
            case .subMI2: try binary(.sub, .mi, .word, record)
            case .xorRR1: try binary(.xor, .rr, .byte, record)
            case .xorRR2: try binary(.xor, .rr, .word, record)
            case .xorRI1: try binary(.xor, .ri, .byte, record)
            case .xorRI2: try binary(.xor, .ri, .word, record)
            case .xorRM1: try binary(.xor, .rm, .byte, record)
            case .xorRM2: try binary(.xor, .rm, .word, record)
            case .xorMR1: try binary(.xor, .mr, .byte, record)
            case .xorMR2: try binary(.xor, .mr, .word, record)
            case .xorMI1: try binary(.xor, .mi, .byte, record)
            case .xorMI2: try binary(.xor, .mi, .word, record)
            case .cmpRR1: try binary(.cmp, .rr, .byte, record)
            case .cmpRR2: try binary(.cmp, .rr, .word, record)
            case .cmpRI1: try binary(.cmp, .ri, .byte, record)
            case .cmpRI2: try binary(.cmp, .ri, .word, record)
            case .cmpRM1: try binary(.cmp, .rm, .byte, record)
            case .cmpRM2: try binary(.cmp, .rm, .word, record)
            case .cmpMR1: try binary(.cmp, .mr, .byte, record)
            case .cmpMR2: try binary(.cmp, .mr, .word, record)
            case .cmpMI1: try binary(.cmp, .mi, .byte, record)
            case .cmpMI2: try binary(.cmp, .mi, .word, record)
            case .testRR1: try binary(.test, .rr, .byte, record)
            case .testRR2: try binary(.test, .rr, .word, record)
            case .testRI1: try binary(.test, .ri, .byte, record)
            case .testRI2: try binary(.test, .ri, .word, record)
            case .testRM1: try binary(.test, .rm, .byte, record)
            case .testRM2: try binary(.test, .rm, .word, record)
            case .testMR1: try binary(.test, .mr, .byte, record)
            case .testMR2: try binary(.test, .mr, .word, record)
            case .testMI1: try binary(.test, .mi, .byte, record)
            case .testMI2: try binary(.test, .mi, .word, record)
            case .movRR1: moveRegister(.byte, record)
            case .movRR2: moveRegister(.word, record)
            case .movRR4: moveRegister(.dword, record)
            case .movRR8: moveRegister(.qword, record)
            case .movRI1: moveImmediateByte(record)
            case .movRI: self[register: record.pointee.destination] = record.pointee.immediate
            case .movRM1: try moveLoad(.byte, record)
            case .movRM2: try moveLoad(.word, record)
            case .movRM4: try moveLoad(.dword, record)
            case .movRM8: try moveLoad(.qword, record)
            case .movMR1: try moveStore(.byte, record)
            case .movMR2: try moveStore(.word, record)
            case .movMR4: try moveStore(.dword, record)
            case .movMR8: try moveStore(.qword, record)
            case .movMI1: try moveStoreImmediate(.byte, record)
            case .movMI2: try moveStoreImmediate(.word, record)
            case .movMI4: try moveStoreImmediate(.dword, record)
            case .movMI8: try moveStoreImmediate(.qword, record)
            case .zxRR1To8: try extend(.rr, from: .byte, to: .qword, signed: false, record)
            case .zxRR2To8: try extend(.rr, from: .word, to: .qword, signed: false, record)
            case .zxRM1To8: try extend(.rm, from: .byte, to: .qword, signed: false, record)
            case .zxRM2To8: try extend(.rm, from: .word, to: .qword, signed: false, record)
            case .sxRR1To4: try extend(.rr, from: .byte, to: .dword, signed: true, record)
            case .sxRR1To8: try extend(.rr, from: .byte, to: .qword, signed: true, record)
            case .sxRR2To4: try extend(.rr, from: .word, to: .dword, signed: true, record)
            case .sxRR2To8: try extend(.rr, from: .word, to: .qword, signed: true, record)
            case .sxRR4To8: try extend(.rr, from: .dword, to: .qword, signed: true, record)
            case .sxRM1To4: try extend(.rm, from: .byte, to: .dword, signed: true, record)
            case .sxRM1To8: try extend(.rm, from: .byte, to: .qword, signed: true, record)
            case .sxRM2To4: try extend(.rm, from: .word, to: .dword, signed: true, record)
            case .sxRM2To8: try extend(.rm, from: .word, to: .qword, signed: true, record)
            case .sxRM4To8: try extend(.rm, from: .dword, to: .qword, signed: true, record)
            case .lea4: loadAddress(.dword, record)
            case .lea8: loadAddress(.qword, record)
            case .incR4: try unary(.inc, .r, .dword, record)
            case .incR8: try unary(.inc, .r, .qword, record)
            case .incM4: try unary(.inc, .m, .dword, record)
            case .incM8: try unary(.inc, .m, .qword, record)
            case .decR4: try unary(.dec, .r, .dword, record)
            case .decR8: try unary(.dec, .r, .qword, record)
            case .decM4: try unary(.dec, .m, .dword, record)
            case .decM8: try unary(.dec, .m, .qword, record)
            case .negR4: try unary(.neg, .r, .dword, record)
            case .negR8: try unary(.neg, .r, .qword, record)
            case .negM4: try unary(.neg, .m, .dword, record)
            case .negM8: try unary(.neg, .m, .qword, record)
            case .notR4: try unary(.not, .r, .dword, record)
            case .notR8: try unary(.not, .r, .qword, record)
            case .notM4: try unary(.not, .m, .dword, record)
            case .notM8: try unary(.not, .m, .qword, record)
            case .rolRI4: shift(.rol, .ri, .dword, record)
            case .rolRI8: shift(.rol, .ri, .qword, record)
            case .rolRC4: shift(.rol, .rr, .dword, record)
            case .rolRC8: shift(.rol, .rr, .qword, record)
            case .rorRI4: shift(.ror, .ri, .dword, record)
            case .rorRI8: shift(.ror, .ri, .qword, record)
            case .rorRC4: shift(.ror, .rr, .dword, record)
            case .rorRC8: shift(.ror, .rr, .qword, record)
            case .shlRI4: shift(.shl, .ri, .dword, record)
            case .shlRI8: shift(.shl, .ri, .qword, record)
            case .shlRC4: shift(.shl, .rr, .dword, record)
            case .shlRC8: shift(.shl, .rr, .qword, record)
            case .shrRI4: shift(.shr, .ri, .dword, record)
            case .shrRI8: shift(.shr, .ri, .qword, record)
            case .shrRC4: shift(.shr, .rr, .dword, record)
            case .shrRC8: shift(.shr, .rr, .qword, record)
            case .sarRI4: shift(.sar, .ri, .dword, record)
            case .sarRI8: shift(.sar, .ri, .qword, record)
            case .sarRC4: shift(.sar, .rr, .dword, record)
            case .sarRC8: shift(.sar, .rr, .qword, record)
            case .imulRR4: try multiply(.rr, .dword, record)
            case .imulRR8: try multiply(.rr, .qword, record)
            case .imulRM4: try multiply(.rm, .dword, record)
            case .imulRM8: try multiply(.rm, .qword, record)
            case .imulRRI4: multiplyImmediate(.dword, record)
            case .imulRRI8: multiplyImmediate(.qword, record)
            case .mulR4: multiplyWide(.dword, record)
            case .mulR8: multiplyWide(.qword, record)
            case .cbw4: writeRegister(0, OperandSize.word.extended(self[.rax]), .dword)
            case .cbw8: self[.rax] = OperandSize.dword.extended(self[.rax])
            case .cwd4: writeRegister(2, self[.rax] & 1 << 31 != 0 ? ~0 : 0, .dword)
            case .cwd8: self[.rdx] = self[.rax] & 1 << 63 != 0 ? ~0 : 0
            case .cmovRR4: try conditionalMove(.rr, .dword, record)
            case .cmovRR8: try conditionalMove(.rr, .qword, record)
            case .cmovRM4: try conditionalMove(.rm, .dword, record)
            case .cmovRM8: try conditionalMove(.rm, .qword, record)
            case .setccR:
              writeRegister(record.pointee.destination, condition(record.pointee.condition) ? 1 : 0, .byte)
            case .btRR4: bitTest(.rr, .dword, record)
            case .btRR8: bitTest(.rr, .qword, record)
            case .btRI4: bitTest(.ri, .dword, record)
            case .btRI8: bitTest(.ri, .qword, record)
            case .vectorMove: try vectorMove(record)
            case .vectorLoad: try vectorLoad(record)
            case .vectorStore: try vectorStore(record)
            case .scalarLoad4: try scalarLoad(.dword, record)
            case .scalarLoad8: try scalarLoad(.qword, record)
            case .scalarStore4: try scalarStore(.dword, record)
            case .scalarStore8: try scalarStore(.qword, record)
            case .vectorCombine: try vectorCombine(record)
            case .scalarDoubleRR: try scalarDouble(.rr, record)
            case .scalarDoubleRM: try scalarDouble(.rm, record)
            case .pushR: try pushInline(self[register: record.pointee.source])
            case .pushI: try pushInline(record.pointee.immediate)
            case .popR: self[register: record.pointee.destination] = try popInline()
            case .leave: try leaveInline()
            case .jo: if flags.pointee.holds(0) { break records }
            case .jno: if flags.pointee.holds(1) { break records }
            case .jb: if flags.pointee.holds(2) { break records }
            case .jae: if flags.pointee.holds(3) { break records }
            case .je: if flags.pointee.holds(4) { break records }
            case .jne: if flags.pointee.holds(5) { break records }
            case .jbe: if flags.pointee.holds(6) { break records }
            case .ja: if flags.pointee.holds(7) { break records }
            case .js: if flags.pointee.holds(8) { break records }
            case .jns: if flags.pointee.holds(9) { break records }
            case .jp: if flags.pointee.holds(10) { break records }
            case .jnp: if flags.pointee.holds(11) { break records }
            case .jl: if flags.pointee.holds(12) { break records }
            case .jge: if flags.pointee.holds(13) { break records }
            case .jle: if flags.pointee.holds(14) { break records }
            case .jg: if flags.pointee.holds(15) { break records }
            case .cmpRR4JO: if compare(.cmp, .rr, .dword, record, 0) { break records }
            case .cmpRR4JNO: if compare(.cmp, .rr, .dword, record, 1) { break records }
            case .cmpRR4JB: if compare(.cmp, .rr, .dword, record, 2) { break records }
            case .cmpRR4JAE: if compare(.cmp, .rr, .dword, record, 3) { break records }
            case .cmpRR4JE: if compare(.cmp, .rr, .dword, record, 4) { break records }
            case .cmpRR4JNE: if compare(.cmp, .rr, .dword, record, 5) { break records }
            case .cmpRR4JBE: if compare(.cmp, .rr, .dword, record, 6) { break records }
            case .cmpRR4JA: if compare(.cmp, .rr, .dword, record, 7) { break records }
            case .cmpRR4JS: if compare(.cmp, .rr, .dword, record, 8) { break records }
            case .cmpRR4JNS: if compare(.cmp, .rr, .dword, record, 9) { break records }
            case .cmpRR4JP: if compare(.cmp, .rr, .dword, record, 10) { break records }
            case .cmpRR4JNP: if compare(.cmp, .rr, .dword, record, 11) { break records }
            case .cmpRR4JL: if compare(.cmp, .rr, .dword, record, 12) { break records }
            case .cmpRR4JGE: if compare(.cmp, .rr, .dword, record, 13) { break records }
            case .cmpRR4JLE: if compare(.cmp, .rr, .dword, record, 14) { break records }
            case .cmpRR4JG: if compare(.cmp, .rr, .dword, record, 15) { break records }
            case .cmpRR8JO: if compare(.cmp, .rr, .qword, record, 0) { break records }
            case .cmpRR8JNO: if compare(.cmp, .rr, .qword, record, 1) { break records }
            case .cmpRR8JB: if compare(.cmp, .rr, .qword, record, 2) { break records }
            case .cmpRR8JAE: if compare(.cmp, .rr, .qword, record, 3) { break records }
            case .cmpRR8JE: if compare(.cmp, .rr, .qword, record, 4) { break records }
            case .cmpRR8JNE: if compare(.cmp, .rr, .qword, record, 5) { break records }
            case .cmpRR8JBE: if compare(.cmp, .rr, .qword, record, 6) { break records }
            case .cmpRR8JA: if compare(.cmp, .rr, .qword, record, 7) { break records }
            case .cmpRR8JS: if compare(.cmp, .rr, .qword, record, 8) { break records }
            case .cmpRR8JNS: if compare(.cmp, .rr, .qword, record, 9) { break records }
            case .cmpRR8JP: if compare(.cmp, .rr, .qword, record, 10) { break records }
            case .cmpRR8JNP: if compare(.cmp, .rr, .qword, record, 11) { break records }
            case .cmpRR8JL: if compare(.cmp, .rr, .qword, record, 12) { break records }
            case .cmpRR8JGE: if compare(.cmp, .rr, .qword, record, 13) { break records }
            case .cmpRR8JLE: if compare(.cmp, .rr, .qword, record, 14) { break records }
            case .cmpRR8JG: if compare(.cmp, .rr, .qword, record, 15) { break records }
            case .cmpRI4JO: if compare(.cmp, .ri, .dword, record, 0) { break records }
            case .cmpRI4JNO: if compare(.cmp, .ri, .dword, record, 1) { break records }
            case .cmpRI4JB: if compare(.cmp, .ri, .dword, record, 2) { break records }
            case .cmpRI4JAE: if compare(.cmp, .ri, .dword, record, 3) { break records }
            case .cmpRI4JE: if compare(.cmp, .ri, .dword, record, 4) { break records }
            case .cmpRI4JNE: if compare(.cmp, .ri, .dword, record, 5) { break records }
            case .cmpRI4JBE: if compare(.cmp, .ri, .dword, record, 6) { break records }
            case .cmpRI4JA: if compare(.cmp, .ri, .dword, record, 7) { break records }
            case .cmpRI4JS: if compare(.cmp, .ri, .dword, record, 8) { break records }
            case .cmpRI4JNS: if compare(.cmp, .ri, .dword, record, 9) { break records }
            case .cmpRI4JP: if compare(.cmp, .ri, .dword, record, 10) { break records }
            case .cmpRI4JNP: if compare(.cmp, .ri, .dword, record, 11) { break records }
            case .cmpRI4JL: if compare(.cmp, .ri, .dword, record, 12) { break records }
            case .cmpRI4JGE: if compare(.cmp, .ri, .dword, record, 13) { break records }
            case .cmpRI4JLE: if compare(.cmp, .ri, .dword, record, 14) { break records }
            case .cmpRI4JG: if compare(.cmp, .ri, .dword, record, 15) { break records }
            case .cmpRI8JO: if compare(.cmp, .ri, .qword, record, 0) { break records }
            case .cmpRI8JNO: if compare(.cmp, .ri, .qword, record, 1) { break records }
            case .cmpRI8JB: if compare(.cmp, .ri, .qword, record, 2) { break records }
            case .cmpRI8JAE: if compare(.cmp, .ri, .qword, record, 3) { break records }
            case .cmpRI8JE: if compare(.cmp, .ri, .qword, record, 4) { break records }
            case .cmpRI8JNE: if compare(.cmp, .ri, .qword, record, 5) { break records }
            case .cmpRI8JBE: if compare(.cmp, .ri, .qword, record, 6) { break records }
            case .cmpRI8JA: if compare(.cmp, .ri, .qword, record, 7) { break records }
            case .cmpRI8JS: if compare(.cmp, .ri, .qword, record, 8) { break records }
            case .cmpRI8JNS: if compare(.cmp, .ri, .qword, record, 9) { break records }
            case .cmpRI8JP: if compare(.cmp, .ri, .qword, record, 10) { break records }
            case .cmpRI8JNP: if compare(.cmp, .ri, .qword, record, 11) { break records }
            case .cmpRI8JL: if compare(.cmp, .ri, .qword, record, 12) { break records }
            case .cmpRI8JGE: if compare(.cmp, .ri, .qword, record, 13) { break records }
            case .cmpRI8JLE: if compare(.cmp, .ri, .qword, record, 14) { break records }
            case .cmpRI8JG: if compare(.cmp, .ri, .qword, record, 15) { break records }
            case .testRR4JO: if compare(.test, .rr, .dword, record, 0) { break records }
            case .testRR4JNO: if compare(.test, .rr, .dword, record, 1) { break records }
            case .testRR4JB: if compare(.test, .rr, .dword, record, 2) { break records }
            case .testRR4JAE: if compare(.test, .rr, .dword, record, 3) { break records }
            case .testRR4JE: if compare(.test, .rr, .dword, record, 4) { break records }
            case .testRR4JNE: if compare(.test, .rr, .dword, record, 5) { break records }
            case .testRR4JBE: if compare(.test, .rr, .dword, record, 6) { break records }
            case .testRR4JA: if compare(.test, .rr, .dword, record, 7) { break records }
            case .testRR4JS: if compare(.test, .rr, .dword, record, 8) { break records }
            case .testRR4JNS: if compare(.test, .rr, .dword, record, 9) { break records }
            case .testRR4JP: if compare(.test, .rr, .dword, record, 10) { break records }
            case .testRR4JNP: if compare(.test, .rr, .dword, record, 11) { break records }
            case .testRR4JL: if compare(.test, .rr, .dword, record, 12) { break records }
            case .testRR4JGE: if compare(.test, .rr, .dword, record, 13) { break records }
            case .testRR4JLE: if compare(.test, .rr, .dword, record, 14) { break records }
            case .testRR4JG: if compare(.test, .rr, .dword, record, 15) { break records }
            case .testRR8JO: if compare(.test, .rr, .qword, record, 0) { break records }
            case .testRR8JNO: if compare(.test, .rr, .qword, record, 1) { break records }
            case .testRR8JB: if compare(.test, .rr, .qword, record, 2) { break records }
            case .testRR8JAE: if compare(.test, .rr, .qword, record, 3) { break records }
            case .testRR8JE: if compare(.test, .rr, .qword, record, 4) { break records }
            case .testRR8JNE: if compare(.test, .rr, .qword, record, 5) { break records }
            case .testRR8JBE: if compare(.test, .rr, .qword, record, 6) { break records }
            case .testRR8JA: if compare(.test, .rr, .qword, record, 7) { break records }
            case .testRR8JS: if compare(.test, .rr, .qword, record, 8) { break records }
            case .testRR8JNS: if compare(.test, .rr, .qword, record, 9) { break records }
            case .testRR8JP: if compare(.test, .rr, .qword, record, 10) { break records }
            case .testRR8JNP: if compare(.test, .rr, .qword, record, 11) { break records }
            case .testRR8JL: if compare(.test, .rr, .qword, record, 12) { break records }
            case .testRR8JGE: if compare(.test, .rr, .qword, record, 13) { break records }
            case .testRR8JLE: if compare(.test, .rr, .qword, record, 14) { break records }
            case .testRR8JG: if compare(.test, .rr, .qword, record, 15) { break records }
            case .cmpRI1JO: if compare(.cmp, .ri, .byte, record, 0) { break records }
            case .cmpRI1JNO: if compare(.cmp, .ri, .byte, record, 1) { break records }
            case .cmpRI1JB: if compare(.cmp, .ri, .byte, record, 2) { break records }
            case .cmpRI1JAE: if compare(.cmp, .ri, .byte, record, 3) { break records }
            case .cmpRI1JE: if compare(.cmp, .ri, .byte, record, 4) { break records }
            case .cmpRI1JNE: if compare(.cmp, .ri, .byte, record, 5) { break records }
            case .cmpRI1JBE: if compare(.cmp, .ri, .byte, record, 6) { break records }
            case .cmpRI1JA: if compare(.cmp, .ri, .byte, record, 7) { break records }
            case .cmpRI1JS: if compare(.cmp, .ri, .byte, record, 8) { break records }
            case .cmpRI1JNS: if compare(.cmp, .ri, .byte, record, 9) { break records }
            case .cmpRI1JP: if compare(.cmp, .ri, .byte, record, 10) { break records }
            case .cmpRI1JNP: if compare(.cmp, .ri, .byte, record, 11) { break records }
            case .cmpRI1JL: if compare(.cmp, .ri, .byte, record, 12) { break records }
            case .cmpRI1JGE: if compare(.cmp, .ri, .byte, record, 13) { break records }
            case .cmpRI1JLE: if compare(.cmp, .ri, .byte, record, 14) { break records }
            case .cmpRI1JG: if compare(.cmp, .ri, .byte, record, 15) { break records }
            case .testRI1JO: if compare(.test, .ri, .byte, record, 0) { break records }
            case .testRI1JNO: if compare(.test, .ri, .byte, record, 1) { break records }
            case .testRI1JB: if compare(.test, .ri, .byte, record, 2) { break records }
            case .testRI1JAE: if compare(.test, .ri, .byte, record, 3) { break records }
            case .testRI1JE: if compare(.test, .ri, .byte, record, 4) { break records }
            case .testRI1JNE: if compare(.test, .ri, .byte, record, 5) { break records }
            case .testRI1JBE: if compare(.test, .ri, .byte, record, 6) { break records }
            case .testRI1JA: if compare(.test, .ri, .byte, record, 7) { break records }
            case .testRI1JS: if compare(.test, .ri, .byte, record, 8) { break records }
            case .testRI1JNS: if compare(.test, .ri, .byte, record, 9) { break records }
            case .testRI1JP: if compare(.test, .ri, .byte, record, 10) { break records }
            case .testRI1JNP: if compare(.test, .ri, .byte, record, 11) { break records }
            case .testRI1JL: if compare(.test, .ri, .byte, record, 12) { break records }
            case .testRI1JGE: if compare(.test, .ri, .byte, record, 13) { break records }
            case .testRI1JLE: if compare(.test, .ri, .byte, record, 14) { break records }
            case .testRI1JG: if compare(.test, .ri, .byte, record, 15) { break records }
            case .decR4JE: if count(.dec, .dword, record, 4) { break records }
            case .decR4JNE: if count(.dec, .dword, record, 5) { break records }
            case .decR8JE: if count(.dec, .qword, record, 4) { break records }
            case .decR8JNE: if count(.dec, .qword, record, 5) { break records }
            case .incR4JE: if count(.inc, .dword, record, 4) { break records }
            case .incR4JNE: if count(.inc, .dword, record, 5) { break records }
            case .incR8JE: if count(.inc, .qword, record, 4) { break records }
            case .incR8JNE: if count(.inc, .qword, record, 5) { break records }
            }
            record += 1
          }
          // A direct jump was taken.
          budget &-= Int64(record.pointee.count)
          if let target = record.pointee.target, Int64(target.pointee.count) <= budget {
            block = target
            record = target.records
            continue blocks
          }
          rip = record.jumpTarget(in: block)
          jump = JumpSource(record: record, block: block)
          cpu.pointee.budget = budget
          continue outer
        }
        budget &-= Int64(record.pointee.count)
      } catch {
        rip = block.pointee.rip &+ UInt64(record.pointee.offset)
        cpu.pointee.budget = budget &- Int64(record.pointee.retired)
        throw error
      }
      cpu.pointee.budget = budget
      if let system { return try runSystem(system) }
    }
  }
}
