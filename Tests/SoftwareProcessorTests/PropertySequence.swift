/// Sequences of instructions in a loop: what a processor makes of instructions that follow each other.
enum PropertySequence {
  private static let counter = 15

  /// Up to 8 random instructions, the decrement of a counter, and the jump back to the first; with how many
  /// instructions that executes.
  static func build(_ random: inout PropertyRandom) -> (test: PropertyCase, instructions: Int64) {
    var sequence = PropertyBuilder("sequence", random, is32Bit: false).result
    sequence.general[4] &= ~7
    for register in PropertyBuilder.addressRegisters {
      sequence.general[Int(register)] = PropertyLayout.data + 0x800 + random.next() % 0x1000
    }
    let iterations = 1 + random.next() % 5
    sequence.general[counter] = iterations
    let length = 1 + Int64(random.next() % 8)
    for _ in 0..<length {
      let next = instruction(behind: sequence, &random)
      let code = sequence.code + next.code
      sequence = next
      sequence.code = code
    }
    // dec r15; jnz
    sequence.code += [0x49, 0xFF, 0xCF, 0x0F, 0x85]
    let displacement = 0 &- UInt32(sequence.code.count + 4)
    sequence.code += (0..<4).map { UInt8(truncatingIfNeeded: displacement >> ($0 * 8)) }
    // DEC defines all of the flags that were left undefined.
    sequence.undefinedFlags = 0
    return (sequence, Int64(iterations) * (length + 2))
  }

  /// An instruction that leaves no more than AF undefined, which none of them depends on.
  private static func instruction(behind sequence: PropertyCase, _ random: inout PropertyRandom)
    -> PropertyCase
  {
    while true {
      let families = PropertyFamily.sequential
      let family = families[Int(random.next() % UInt64(families.count))]
      var builder = PropertyBuilder(behind: sequence, random)
      family.build(&builder)
      let next = builder.finish()
      random = builder.random
      if next.undefinedFlags & ~PropertyFlag.af == 0 { return next }
    }
  }
}
