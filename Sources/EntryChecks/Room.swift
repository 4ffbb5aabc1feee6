// EntryChecks: VMCS → every violated VM-entry check, as a table of named checks.
