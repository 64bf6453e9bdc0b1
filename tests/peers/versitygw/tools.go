//go:build tools

// tools.go - names the one program that this module exists for: versitygw, the S3 server of the tests. Nothing of it is in the product.
package tools

import _ "github.com/versity/versitygw/cmd/versitygw"
