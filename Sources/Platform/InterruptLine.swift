/// What takes the levels of a machine's interrupt lines.
public protocol InterruptController: AnyObject {
  /// Sets line `number` high or low; edges are found by comparison with its level before.
  func setLine(_ number: UInt8, isHigh: Bool)
}

/// A device's wire to an interrupt controller.
public struct InterruptLine {
  private let controller: any InterruptController
  /// The number that the controller knows the wire by.
  public let number: UInt8

  public init(_ number: UInt8, of controller: any InterruptController) {
    self.number = number
    self.controller = controller
  }

  /// Drives the wire.
  public func set(_ isHigh: Bool) { controller.setLine(number, isHigh: isHigh) }

  /// An edge: high, and low again.
  public func pulse() {
    set(true)
    set(false)
  }
}
