/// The six status flags: CF, PF, AF, ZF, SF, OF.
struct StatusFlags {
  /// Their bits at their places in EFLAGS.
  var bits: UInt64 = 0
}
