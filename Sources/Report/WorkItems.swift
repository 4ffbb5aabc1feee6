import CostModel
import Trace

/// What L0 spent on one exit, item by item, by the prices of the trace.
struct WorkItems {
  /// So many of one kind at one price.
  struct Row: Equatable {
    var name: String
    var count: UInt64
    var price: UInt64
    var cycles: UInt64 { count &* price }
  }

  /// The items that the exit has, in the order of a cost table.
  let rows: [Row]

  init(_ event: ExitEvent, _ prices: CostPrices) {
    let work = event.work
    let all = [
      Row(name: "VM exit", count: 1, price: prices.vmExit),
      Row(name: "handler's base", count: 1, price: prices.handlerBase),
      Row(name: "VMREADs", count: UInt64(work.vmcsReads), price: prices.vmread),
      Row(name: "VMWRITEs", count: UInt64(work.vmcsWrites), price: prices.vmwrite),
      Row(name: "memory accesses", count: UInt64(work.memoryAccesses), price: prices.memoryAccess),
      Row(name: "VMPTRLDs", count: UInt64(work.vmptrlds), price: prices.vmptrld),
      Row(name: "INVEPTs", count: UInt64(work.invepts), price: prices.invept),
      Row(name: "INVVPIDs", count: UInt64(work.invvpids), price: prices.invvpid),
      Row(name: "VM entry", count: 1, price: prices.vmEntry),
    ]
    rows = all.filter { $0.count > 0 }
  }

  /// The sum of the items: what the exit cost L0.
  var total: UInt64 { rows.reduce(0) { $0 &+ $1.cycles } }
}
