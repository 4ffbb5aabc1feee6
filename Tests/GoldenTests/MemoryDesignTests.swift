import Hypervisor
import Testing
import Trace

/// Guests whose page tables change, under each memory design: a guest cannot tell by what its addresses are translated.
@Suite struct MemoryDesignTests {
  /// Page tables of L1's own at 2 MByte: the first 16 MByte by large pages at their own addresses, then a page table at
  /// 203000h for 1000000h, and what PD entries 9 and 10 map. A fault notes its error code and address and opens the page.
  /// The number of the check that fails is reported.
  private static let program = """
        .intel_syntax noprefix
    mov rsp, 0x180000
        cld
        mov edi, 0x200000
        xor eax, eax
        mov ecx, 0x4000/8
        rep stosq
        mov qword ptr [0x200000], 0x201007
        mov qword ptr [0x201000], 0x202007
        mov rax, 0x87
        mov edi, 0x202000
        mov ecx, 8
    large:
        mov [rdi], rax
        add rax, 0x200000
        add rdi, 8
        loop large
        mov qword ptr [0x202040], 0x203007
        # The interrupt table: a gate for page faults.
        mov edi, 0x208000
        xor eax, eax
        mov ecx, 512
        rep stosq
        lea rax, [rip+fault]
        mov [0x2080E0], ax
        mov cx, cs
        mov [0x2080E2], cx
        mov word ptr [0x2080E4], 0x8E00
        shr rax, 16
        mov [0x2080E6], ax
        mov word ptr [0x209000], 0xFFF
        mov qword ptr [0x209002], 0x208000
        lidt [0x209000]
        mov rax, 0x200000
        mov cr3, rax

        # 1: a load sets the accessed flag alone, a store the dirty flag too.
        mov ebx, 1
        mov qword ptr [0x203000], 0x300007
        mov rax, [0x1000000]
        mov rax, [0x203000]
        and eax, 0x60
        cmp eax, 0x20
        jne failed
        mov qword ptr [0x1000000], 0x55
        mov rax, [0x203000]
        and eax, 0x60
        cmp eax, 0x60
        jne failed
        cmp qword ptr [0x300000], 0x55
        jne failed

        # 2: INVLPG of a page that leads elsewhere now.
        inc ebx
        mov qword ptr [0x302000], 0x77
        mov qword ptr [0x203000], 0x302067
        invlpg [0x1000000]
        cmp qword ptr [0x1000000], 0x77
        jne failed

        # 3: of a large one, by another address in it.
        inc ebx
        mov qword ptr [0x405000], 1
        mov qword ptr [0x605000], 2
        mov qword ptr [0x202048], 0x4000E7
        cmp qword ptr [0x1205000], 1
        jne failed
        mov qword ptr [0x202048], 0x6000E7
        invlpg [0x1201000]
        cmp qword ptr [0x1205000], 2
        jne failed

        # 4: a page that is not present: what the fault says, and the load after it.
        inc ebx
        mov qword ptr [0x303000], 0x33
        mov rdx, 0x303007
        mov r14, -1
        cmp qword ptr [0x1002000], 0x33
        jne failed
        test r14, r14
        jnz failed
        cmp r15, 0x1002000
        jne failed

        # 5: a store to a page that is not writable.
        inc ebx
        mov qword ptr [0x203018], 0x304005
        mov rax, [0x1003000]
        mov rdx, 0x304007
        mov r14, -1
        mov qword ptr [0x1003008], 0x44
        cmp r14, 3
        jne failed
        cmp qword ptr [0x304008], 0x44
        jne failed

        # 6: with CR0.WP = 0 the supervisor may; with 1 again it may not.
        inc ebx
        mov qword ptr [0x203020], 0x305005
        mov rax, cr0
        and rax, ~0x10000
        mov cr0, rax
        mov r14, -1
        mov qword ptr [0x1004000], 0x66
        cmp r14, -1
        jne failed
        cmp qword ptr [0x305000], 0x66
        jne failed
        or rax, 0x10000
        mov cr0, rax
        mov rcx, cr0
        cmp rcx, rax
        jne failed
        mov rdx, 0x305007
        mov qword ptr [0x1004000], 0x67
        cmp r14, 3
        jne failed

        # 7: another address space and back; CR3 reads as it was written.
        inc ebx
        mov qword ptr [0x20A000], 0x20B007
        mov qword ptr [0x20B000], 0x20C007
        mov rsi, 0x202000
        mov edi, 0x20C000
        mov ecx, 512
        rep movsq
        mov qword ptr [0x20C048], 0x4000E7
        mov rax, 0x20A000
        mov cr3, rax
        cmp qword ptr [0x1205000], 1
        jne failed
        mov rcx, cr3
        cmp rcx, rax
        jne failed
        mov rax, 0x200000
        mov cr3, rax
        cmp qword ptr [0x1205000], 2
        jne failed
        xor ebx, ebx

    failed:
        mov eax, ebx
        out 0xF4, al
        hlt
    fault:
        pop r14
        mov r15, cr2
        push rax
        push rcx
        mov rcx, r15
        shr rcx, 12
        and ecx, 0x1FF
        mov [0x203000+rcx*8], rdx
        invlpg [r15]
        pop rcx
        pop rax
        iretq
    """

  @Test(arguments: MemoryDesign.allCases) func aGuestSeesItsOwnPageTables(_ design: MemoryDesign) throws {
    let run = try runAssembly(Self.program) { $0.nested.memoryDesign = design }
    #expect(run.result.outcome == .guestReported(code: 0), "the number of the check")
    let faults = run.result.exits.filter { $0.reasonName.description == "EXCEPTION_OR_NMI" }.reduce(0) {
      $0 + $1.count
    }
    #expect((faults > 0) == !design.usesEPT)
  }

  /// Protected mode without paging, and back to 64-bit mode.
  @Test(arguments: MemoryDesign.allCases) func pagingIsLeftAndEntered(_ design: MemoryDesign) throws {
    let run = try runAssembly(
      """
          .intel_syntax noprefix
          mov rsp, 0x180000
          mov r12, cr3
          mov qword ptr [0x209010], 0
          mov rax, 0x00CF9A000000FFFF
          mov qword ptr [0x209018], rax
          mov rax, 0x00AF9A000000FFFF
          mov qword ptr [0x209020], rax
          mov rax, 0x00CF92000000FFFF
          mov qword ptr [0x209028], rax
          mov word ptr [0x209000], 0x1F
          mov qword ptr [0x209002], 0x209010
          lgdt [0x209000]
          mov qword ptr [0x300010], 0x21
          lea rax, [rip+wide]
          mov [0x300018], rax
          lea rax, [rip+narrow]
          push 0x8
          push rax
          retfq
          .code32
      narrow:
          mov eax, 0x18
          mov ds, eax
          mov es, eax
          mov ss, eax
          mov eax, cr0
          and eax, 0x7FFFFFFF
          mov cr0, eax
          mov ecx, 0xC0000080
          rdmsr
          test eax, 0x400
          jnz wrong
          mov eax, cr0
          test eax, eax
          js wrong
          add dword ptr ds:[0x300010], 0x21
          mov ecx, cr3
          or eax, 0x80000000
          mov cr0, eax
          push 0x10
          push dword ptr ds:[0x300018]
          retf
      wrong:
          mov al, 1
          out 0xF4, al
          .code64
      wide:
          mov rcx, cr3
          cmp rcx, r12
          mov al, 2
          jne over
          cmp dword ptr [0x300010], 0x42
          mov al, 3
          jne over
          xor eax, eax
      over:
          out 0xF4, al
          hlt
      """
    ) { $0.nested.memoryDesign = design }
    #expect(run.result.outcome == .guestReported(code: 0), "the number of the check")
  }

  /// A device is reached by a page fault where L0 has no EPT: the local APIC's version, and a load of a vector register.
  @Test(arguments: MemoryDesign.allCases) func devicesAnswer(_ design: MemoryDesign) throws {
    let run = try runAssembly(
      """
          .intel_syntax noprefix
          mov rsp, 0x180000
          mov rax, cr4
          or eax, 0x200
          mov cr4, rax
          mov ebx, 0xFEE00000
          mov eax, [rbx+0x30]
          movzx ecx, al
          shr ecx, 4
          mov dword ptr [rbx+0x80], 0x20
          cmp dword ptr [rbx+0x80], 0x20
          jne bad
          movd xmm1, dword ptr [rbx+0x80]
          movd edx, xmm1
          cmp edx, 0x20
          jne bad
          xor eax, eax
          cmp ecx, 1
          je good
      bad:
          mov al, 1
      good:
          out 0xF4, al
          hlt
      """
    ) {
      $0.nested.memoryDesign = design
      $0.memorySize = 16 << 20
    }
    #expect(run.result.outcome == .guestReported(code: 0))
  }

  /// Page tables of L1's own at 2 MByte: the first 16 MByte by supervisor's large pages at their own addresses, and a page
  /// table at 203000h for 1000000h; the same once more at 20A000h, with a page table at 20D000h.
  private static let twoSpaces = """
        .intel_syntax noprefix
        mov rsp, 0x180000
        cld
        mov edi, 0x200000
        xor eax, eax
        mov ecx, 0x10000/8
        rep stosq
        mov qword ptr [0x200000], 0x201007
        mov qword ptr [0x201000], 0x202007
        mov qword ptr [0x20A000], 0x20B007
        mov qword ptr [0x20B000], 0x20C007
        mov rax, 0x83
        mov edi, 0x202000
        mov ecx, 8
    large:
        mov [rdi], rax
        mov [rdi+0xA000], rax
        add rax, 0x200000
        add rdi, 8
        loop large
        mov qword ptr [0x202040], 0x203007
        mov qword ptr [0x20C040], 0x20D007
        lea rax, [rip+fault]
        mov [0x2080E0], ax
        mov [0x2080D0], ax
        mov cx, cs
        mov [0x2080E2], cx
        mov [0x2080D2], cx
        mov word ptr [0x2080E4], 0x8E00
        mov word ptr [0x2080D4], 0x8E00
        shr rax, 16
        mov [0x2080E6], ax
        mov [0x2080D6], ax
        mov word ptr [0x209000], 0xFFF
        mov qword ptr [0x209002], 0x208000
        lidt [0x209000]
        mov rax, 0x200000
        mov cr3, rax
        mov qword ptr [0x300000], 1
        mov qword ptr [0x301000], 2
        mov qword ptr [0x302000], 3
        xor ebx, ebx
    """

  /// What a failed check reports, and a handler of #PF and #GP that notes the error code and goes on at R13.
  private static let ending = """

        xor ebx, ebx
    failed:
        mov eax, ebx
        out 0xF4, al
        hlt
    fault:
        pop r14
        mov [rsp], r13
        iretq
    """

  @Test(arguments: MemoryDesign.allCases) func addressSpacesHavePCIDs(_ design: MemoryDesign) throws {
    let program =
      Self.twoSpaces + """

            mov rax, cr4
            or eax, 0x20000
            mov cr4, rax
            mov qword ptr [0x203000], 0x300007
            mov qword ptr [0x20D000], 0x301007
            mov r8, 0x200001
            mov r9, 0x20A002
            mov r10, 0x8000000000000000
            lea rsi, [0x20E000]
            mov qword ptr [rsi], 1
            mov qword ptr [rsi+8], 0x1000000

            # 1: two address spaces, and back to the first; CR3 reads as it was written, but for bit 63.
            inc ebx
            mov cr3, r8
            cmp qword ptr [0x1000000], 1
            jne failed
            mov cr3, r9
            cmp qword ptr [0x1000000], 2
            jne failed
            mov rax, r8
            or rax, r10
            mov cr3, rax
            cmp qword ptr [0x1000000], 1
            jne failed
            mov rax, cr3
            cmp rax, r8
            jne failed

            # 2: the other PCID is invalidated from here.
            inc ebx
            mov rax, r9
            or rax, r10
            mov cr3, rax
            cmp qword ptr [0x1000000], 2
            jne failed
            mov qword ptr [0x203000], 0x302007
            mov eax, 1
            invpcid rax, [rsi]
            mov rax, r8
            or rax, r10
            mov cr3, rax
            cmp qword ptr [0x1000000], 3
            jne failed

            # 3: one address of the current one.
            inc ebx
            mov qword ptr [0x203000], 0x300007
            xor eax, eax
            invpcid rax, [rsi]
            cmp qword ptr [0x1000000], 1
            jne failed

            # 4: a load of CR3 without bit 63.
            inc ebx
            mov qword ptr [0x203000], 0x302007
            mov cr3, r8
            cmp qword ptr [0x1000000], 3
            jne failed

            # 5: all of them.
            inc ebx
            mov qword ptr [0x20D000], 0x300007
            mov eax, 2
            invpcid rax, [rsi]
            mov rax, r9
            or rax, r10
            mov cr3, rax
            cmp qword ptr [0x1000000], 1
            jne failed

            # 6: a type that there is not, and a reserved bit of the descriptor.
            inc ebx
            lea r13, [rip+next]
            mov r14, -1
            mov eax, 4
            invpcid rax, [rsi]
        next:
            test r14, r14
            jnz failed
            lea r13, [rip+last]
            mov r14, -1
            mov qword ptr [rsi], 0x1001
            mov eax, 1
            invpcid rax, [rsi]
        last:
            test r14, r14
            jnz failed
        """ + Self.ending
    let run = try runAssembly(program) { $0.nested.memoryDesign = design }
    #expect(run.result.outcome == .guestReported(code: 0), "the number of the check")
  }

  /// A supervisor that may write to a read-only page of the user, having CR0.WP = 0, may still not read it without AC.
  @Test(arguments: MemoryDesign.allCases) func writeProtectionIsNotSMAP(_ design: MemoryDesign) throws {
    let program =
      Self.twoSpaces + """

            mov qword ptr [0x203000], 0x300005
            mov rax, cr0
            and rax, ~0x10000
            mov cr0, rax
            mov rax, cr4
            or eax, 0x200000
            mov cr4, rax

            # 1: a write with AC = 1.
            inc ebx
            lea r13, [rip+failed]
            stac
            mov qword ptr [0x1000000], 0x66
            cmp qword ptr [0x1000000], 0x66
            jne failed
            test byte ptr [0x203000], 0x40
            jz failed

            # 2: a read with AC = 0.
            inc ebx
            clac
            lea r13, [rip+refused]
            mov r14, -1
            mov rax, [0x1000000]
        refused:
            cmp r14, 1
            jne failed

            # 3: a write with AC = 0.
            inc ebx
            lea r13, [rip+again]
            mov r14, -1
            mov qword ptr [0x1000000], 0x67
        again:
            cmp r14, 3
            jne failed
            cmp qword ptr [0x300000], 0x66
            jne failed
        """ + Self.ending
    let run = try runAssembly(program) {
      $0.nested.memoryDesign = design
      $0.model = .named("max") ?? .standard
    }
    #expect(run.result.outcome == .guestReported(code: 0), "the number of the check")
  }

  @Test func realAddressModeNeedsEPT() throws {
    let run = try runAssembly(
      """
          .intel_syntax noprefix
          mov rsp, 0x180000
          mov rax, 0x00CF9A000000FFFF
          mov qword ptr [0x209018], rax
          mov word ptr [0x209000], 0x1F
          mov qword ptr [0x209002], 0x209010
          lgdt [0x209000]
          lea rax, [rip+narrow]
          push 0x8
          push rax
          retfq
          .code32
      narrow:
          mov eax, cr0
          and eax, 0x7FFFFFFE
          mov cr0, eax
          hlt
      """
    ) { $0.nested.memoryDesign = .shadowOnShadow }
    guard case .shutdown(let sentence) = run.result.outcome else {
      Issue.record("\(run.result.outcome)")
      return
    }
    #expect(sentence.hasPrefix("L1 is in real-address mode"))
  }

  @Test func severalVirtualCPUsNeedEPT() {
    #expect(throws: MachineError.processorsWithoutEPT(2)) {
      try runAssembly("hlt") {
        $0.nested.memoryDesign = .shadowOnShadow
        $0.processorCount = 2
      }
    }
  }
}
