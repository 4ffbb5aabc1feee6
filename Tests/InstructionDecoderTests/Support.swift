import InstructionDecoder

/// Bytes from hexadecimal text such as `48 89 D8`.
func bytes(_ text: String) -> [UInt8] {
  text.split(separator: " ").map { UInt8($0, radix: 16) ?? 0xFF }
}

func hex(_ bytes: some Sequence<UInt8>) -> String {
  bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: " ")
}

/// Decodes bytes followed by nothing.
func decode(_ code: [UInt8], _ mode: DecodeMode) throws(DecodeFailure) -> Instruction {
  // The padding proves that nothing behind the count matters.
  let padded = code + [UInt8](repeating: 0xCC, count: 16)
  let result: Result<Instruction, DecodeFailure> = padded.withUnsafeBufferPointer { buffer in
    guard let base = buffer.baseAddress else { return .failure(.truncated) }
    do throws(DecodeFailure) {
      return .success(try Instruction.decode(base, count: code.count, mode: mode))
    } catch {
      return .failure(error)
    }
  }
  return try result.get()
}

func decode(_ text: String, _ mode: DecodeMode = .long64) throws(DecodeFailure) -> Instruction {
  try decode(bytes(text), mode)
}

/// Why bytes are no instruction, or nil if they are one.
func failure(_ text: String, _ mode: DecodeMode = .long64) -> DecodeFailure? {
  do throws(DecodeFailure) {
    _ = try decode(bytes(text), mode)
    return nil
  } catch {
    return error
  }
}
