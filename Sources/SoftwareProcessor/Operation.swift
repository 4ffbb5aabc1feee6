/// What a ``Record`` does: one case of the interpreter's switch.
enum Operation: UInt16 {
  // Any instruction, carried whole.
  case straight
  case branch
  case system

  // The end of a block.
  /// Goes on at the next instruction, which is in another block.
  case next
  /// The block was dropped: goes on at this record's instruction, decoded again.
  case stale
}

extension Operation {
  /// Whether the record's displacement is the address of the instruction that it carries.
  var carriesInstruction: Bool {
    switch self {
    case .straight, .branch, .system: true
    default: false
    }
  }

  /// Whether the record's displacement is the block that it leads to.
  var hasTarget: Bool { self == .next }
}
