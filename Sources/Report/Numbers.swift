/// `value` with its digits in groups of three, such as `1,234,567`.
public func grouped(_ value: UInt64) -> String {
  let digits = String(value)
  var output = ""
  for (index, digit) in digits.enumerated() {
    if index > 0, (digits.count - index) % 3 == 0 { output += "," }
    output.append(digit)
  }
  return output
}

/// `value` with exactly `places` decimal places, rounded half up; the same text on every machine and in every locale.
public func decimal(_ value: Double, places: Int) -> String {
  let scale = (0..<places).reduce(1.0) { scale, _ in scale * 10 }
  let scaled = (value.magnitude * scale).rounded(.toNearestOrAwayFromZero)
  guard scaled.isFinite, scaled < 9e18 else { return "\(value)" }
  let units = UInt64(scaled)
  let sign = value < 0 && units > 0 ? "-" : ""
  guard places > 0 else { return sign + String(units) }
  let digits = String(units)
  let padded = String(repeating: "0", count: max(0, places + 1 - digits.count)) + digits
  return sign + padded.dropLast(places) + "." + padded.suffix(places)
}

/// `value` as `0x` and hexadecimal digits without leading zeros.
public func hexadecimal(_ value: UInt64) -> String { "0x" + String(value, radix: 16) }

/// `value`, which is not negative, rounded to a whole number with its digits in groups.
func whole(_ value: Double) -> String { grouped(UInt64(max(0, min(value.rounded(), 1e18)))) }
