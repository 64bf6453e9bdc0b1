//go:build tools

// tools.go - names the one program that this module exists for: kubo, the IPFS node of the tests. Nothing of it is in the product.
package tools

import _ "github.com/ipfs/kubo/cmd/ipfs"
