module winlayersbench

go 1.26

require (
	github.com/Microsoft/go-winio v0.6.4
	github.com/klauspost/compress v1.20.4
	github.com/vbatts/tar-split v0.12.3
)

// The same version, its build tags for Windows taken off; made from the module by the harness (peers.py).
replace github.com/Microsoft/go-winio => ../../.work/go-winio
