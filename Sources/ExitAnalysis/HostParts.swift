import CostModel
import Trace
import VMX

/// The parts of what L0 spent on one exit, in the order in which they happen.
public struct HostParts: Equatable, Sendable {
  /// The processor's part of the VM exit.
  public var exit: UInt64
  /// L0 handles the exit otherwise than by making vmcs02 or vmcs12 of the other.
  public var handler: UInt64
  /// L0 makes vmcs02 of vmcs12, or vmcs12 of vmcs02.
  public var transform: UInt64
  /// The processor's part of the VM entry.
  public var entry: UInt64
  /// The level that the VM entry resumed.
  public var resumed: ExitLevel

  /// The parts of `event`, by the prices that its trace was made with. They add up to its `hostCycles`.
  public init(_ event: ExitEvent, _ prices: CostPrices) {
    let isTransform = event.isTreeRoot || Self.entersL2(event)
    transform = isTransform ? min(prices.handler(event.work), event.hostCycles) : 0
    exit = min(prices.vmExit, event.hostCycles &- transform)
    entry = min(prices.vmEntry, event.hostCycles &- transform &- exit)
    handler = event.hostCycles &- transform &- exit &- entry
    resumed = (event.from == .l2 ? !event.isTreeRoot : Self.entersL2(event)) ? .l2 : .l1
  }

  /// Whether this exit of L1 ended with L2 running: L0 then changed to vmcs02.
  static func entersL2(_ event: ExitEvent) -> Bool {
    event.from == .l1 && event.work.vmptrlds > 0
      && (event.reason == ExitReason.vmresume.rawValue || event.reason == ExitReason.vmlaunch.rawValue)
  }
}
