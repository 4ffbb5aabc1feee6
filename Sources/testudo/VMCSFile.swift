import Foundation
import NestedVMX
import Report
import SoftwareProcessor
import VMX

/// A VMCS dump that a user names by its path.
struct VMCSFile {
  var path: String
  var dump: VMCSDump

  init(_ path: String) throws(CommandError) {
    self.path = path
    let text = try Self.read(path)
    do throws(VMCSDumpError) { dump = try VMCSDump(parsing: text) } catch {
      throw CommandError(.malformedInput, "\(path): \(error.problem)")
    }
  }

  private static func read(_ path: String) throws(CommandError) -> [UInt8] {
    var status = stat()
    guard stat(path, &status) == 0 else {
      throw CommandError(
        .missingInput,
        "\(path): \(Output.reason(errno)): expected the path of a VMCS dump (\(VMCSDump.schema))")
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw CommandError(.missingInput, "\(path): not a regular file: expected the path of a VMCS dump")
    }
    guard status.st_size <= VMCSDump.largestFile else {
      throw CommandError(
        .malformedInput, "\(path): \(status.st_size) bytes: expected a VMCS dump of at most 1 MByte")
    }
    guard let data = FileManager.default.contents(atPath: path) else {
      throw CommandError(.missingInput, "\(path): cannot be read: check its permissions")
    }
    return [UInt8](data)
  }

  /// The capabilities of the dump, or else those of the software processor: as L1 sees them, unless L0 runs on the
  /// VMCS itself.
  var capabilities: VMXCapabilities {
    if let capabilities = dump.capabilities { return capabilities }
    switch dump.kind {
    case .vmcs01, .vmcs02: return SoftwareCPU.capabilities
    case .vmcs12, .vmcs: return VirtualCapabilities.offered(on: SoftwareCPU.capabilities)
    }
  }
}
