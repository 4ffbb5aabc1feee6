/// A device through which a guest takes what the machine's user types.
///
/// It is as the hardware is: what comes while the guest does not listen, or finds no room, may be lost. Who types looks
/// first.
public protocol ConsolePort: AnyObject {
  /// Whether the guest takes what is typed now.
  var isListening: Bool { get }
  /// Whether the guest does nothing but look for input.
  var isPolledInVain: Bool { get }
  /// The number of bytes that ``receive(_:)`` takes now and loses none of.
  var room: Int { get }
  /// Whether the guest has taken all that was received.
  var isDrained: Bool { get }
  /// Grows with each byte that the guest sends, and with each that it takes.
  var activity: UInt64 { get }
  /// Hands `bytes` to the device.
  func receive(_ bytes: ArraySlice<UInt8>)
}
