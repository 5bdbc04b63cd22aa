module brenier

go 1.24
