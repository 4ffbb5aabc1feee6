// CostModel: what an exit, an entry or a page-walk step costs on a named microarchitecture.
