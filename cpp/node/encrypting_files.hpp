/// node/encrypting_files.hpp - the Files port over another one that sees ciphertext only.
/// Bytes: docs/formats/sealed_files.md. Why so: docs/decisions/015-encrypted-files.md.
#pragma once

#include <memory>

#include "crypto/secret.hpp"
#include "ports/files.hpp"
#include "ports/random.hpp"

namespace dvesp::node {

/// Every file's content is AES-256-GCM in pages of 4096 bytes, each with its own random nonce, under a key of the file. Names,
/// sizes (to the byte), times and which pages are written stay visible. What the port promises holds, torn writes included;
/// differences and limits:
/// - A page that was changed, moved, or taken from another file reads as zeros; a mapping says `damaged()` then. Old states are
///   not told from new ones: whoever can write below can put back a whole file, or one page of it, as it was before, zeros for
///   a page that was never written, or one file in place of another. Content hashes are what the store has against that.
/// - A mapping decrypts the whole file into anonymous memory, wiped when it ends: the file's size in RAM (and swap, unless the
///   process locks its memory), about 0.3 ms a MB. Later writes do not show in it. `random` is ignored.
/// - `direct` access below is not used: every file has an alignment of 1.
/// - Overwriting a part of a durable page costs one sync more, once a page between two syncs of the file. The store never does.
/// - `lock` files are not encrypted: they hold the number of a process.
/// Files, mappings and locks may outlive the object.
/// @param below   where the ciphertext lies; its files belong to this object alone
/// @param key     from which each file's key is derived; 32 random bytes or the output of a KDF, for nothing else
/// @param random  for salts and nonces: a cryptographic generator, whose results never repeat for one key
/// @errors  those below; sealed (a file was written under another key), corruption (both copies of a header are damaged)
/// @threads any, as the port says    @cost about 0.3 us + 0.2 ns a byte for each page that is written or read
[[nodiscard]] std::unique_ptr<ports::Files> make_encrypting_files(std::unique_ptr<ports::Files> below, crypto::Key32 key,
                                                                  std::unique_ptr<ports::Random> random);

}  // namespace dvesp::node
