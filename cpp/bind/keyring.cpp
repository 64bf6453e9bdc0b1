/// bind/keyring.cpp - passphrases, wallets and raw keys become secrets; their text is wiped here as far as it is ours.
#include "bind/keyring.hpp"

#include <algorithm>

#include "bind/errors.hpp"
#include "crypto/base58.hpp"
#include "crypto/ed25519.hpp"
#include "crypto/kdf.hpp"

namespace py = pybind11;

namespace dvesp::bind {
namespace {

constexpr std::size_t wallet_bytes = 64;  ///< a seed and its public key

ByteView bytes_of_object(const py::bytes& value) {
    char* data = nullptr;
    Py_ssize_t size = 0;
    if (PyBytes_AsStringAndSize(value.ptr(), &data, &size) != 0) throw py::error_already_set();
    return {reinterpret_cast<const std::uint8_t*>(data), static_cast<std::size_t>(size)};
}

/// A Solana wallet's 64 bytes: the seed, if the public half is its own.
sealed::UserSecret wallet_of(ByteView bytes) {
    if (bytes.size() != wallet_bytes) refuse("keyring: a wallet has 64 bytes: the seed and its public key");
    const crypto::Key32 seed(bytes.first(crypto::key_bytes));
    const crypto::PublicKey& expected = crypto::Ed25519Key(seed).public_key();
    if (!crypto::equal(expected, bytes.subspan(crypto::key_bytes))) {
        refuse("keyring: the wallet's public half does not belong to its seed; the file is damaged");
    }
    return {sealed::SecretKind::wallet_seed, crypto::SecretBytes::copy_of(bytes.first(crypto::key_bytes))};
}

std::shared_ptr<PyKeyring> from_passphrase(const py::bytes& text) {
    const ByteView bytes = bytes_of_object(text);
    if (bytes.empty() || bytes.size() > crypto::passphrase_bytes_max) refuse("keyring: a passphrase has 1 to 4096 bytes");
    return std::make_shared<PyKeyring>(sealed::UserSecret{sealed::SecretKind::passphrase, crypto::SecretBytes::copy_of(bytes)});
}

std::shared_ptr<PyKeyring> from_wallet_bytes(const py::bytes& wallet) {
    return std::make_shared<PyKeyring>(wallet_of(bytes_of_object(wallet)));
}

std::shared_ptr<PyKeyring> from_wallet_text(const std::string& text) {
    auto decoded = crypto::base58_decode(text);
    if (!decoded.ok()) refuse("keyring: the wallet is neither 64 numbers in JSON nor base58");
    return std::make_shared<PyKeyring>(wallet_of(decoded->bytes()));
}

std::shared_ptr<PyKeyring> from_raw(const py::bytes& key) {
    const ByteView bytes = bytes_of_object(key);
    if (bytes.size() != crypto::key_bytes) refuse("keyring: a raw key has 32 bytes, or 64 hexadecimal digits");
    return std::make_shared<PyKeyring>(sealed::UserSecret{sealed::SecretKind::raw_key, crypto::SecretBytes::copy_of(bytes)});
}

}  // namespace

void PyKeyring::define(py::module_& module) {
    py::class_<PyKeyring, std::shared_ptr<PyKeyring>>(module, "Keyring", "A secret that unlocks sealed stores; never shown.")
        .def_static("from_passphrase", &from_passphrase, py::arg("passphrase"))
        .def_static("from_wallet_bytes", &from_wallet_bytes, py::arg("wallet"))
        .def_static("from_wallet_text", &from_wallet_text, py::arg("text"))
        .def_static("from_raw", &from_raw, py::arg("key"));
}

}  // namespace dvesp::bind
