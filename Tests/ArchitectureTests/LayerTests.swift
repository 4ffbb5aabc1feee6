import Testing

@Suite struct LayerTests {
  @Test func manifestWasUnderstood() throws {
    let package = try Repository.package()
    #expect(package.rooms.first?.name == "X86")
    #expect(package.rooms.last?.name == "testudo")
    #expect(package.room("NestedVMX")?.imports.contains("EntryChecks") == true)
    #expect(package.room("Experiments")?.imports.contains("Yams") == true)
    #expect(package.shims == ["CKVM"])
  }

  @Test func roomsDeclareOnlyRoomsAboveThem() throws {
    #expect(try Repository.package().upwardDeclarations() == [])
  }

  @Test func upwardDeclarationIsFound() {
    let package = PackageDescription(
      manifest: """
        Room(name: "VMX", imports: ["X86"]),
        Room(name: "X86"),
        """)
    #expect(package.upwardDeclarations() == ["Package.swift: VMX declares X86, which is not above it"])
  }

  @Test func everyFolderOfSourcesIsARoomOrAShim() throws {
    let package = try Repository.package()
    let folders = Set(try Repository.sources.get().compactMap(\.target))
    #expect(folders.subtracting(package.rooms.map(\.name)) == [])
  }

  @Test func everyRoomHasTests() throws {
    let tested = Set(
      try Repository.tests.get().filter { $0.text.contains("@Test") }.compactMap(\.target))
    let rooms = Set(try Repository.package().rooms.map(\.name)).subtracting(["testudo"])
    #expect(rooms.filter { !tested.contains($0 + "Tests") } == [])
    #expect(tested.contains("CommandTests"))
  }
}
