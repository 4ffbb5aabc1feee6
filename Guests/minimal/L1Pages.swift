import CMinimal

/// The pages that L1 keeps for structures the processor reads: each is handed out once, and is zero.
struct L1Pages {
  private var next = address_of_l1_pages()

  /// The physical address of a page of zeros.
  mutating func take() -> UInt64 {
    guard next < address_of_l1_pages_end() else { fail("L1 has no page left") }
    defer { next &+= 4096 }
    return next
  }
}
