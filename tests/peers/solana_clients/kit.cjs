// kit.cjs - @solana/kit against dvesp: it derives our address, reads our account, and posts the next root.
// usage: NODE_PATH=... node kit.cjs '{"url", "program", "wallet", "collection", "address", "root", "sequence"}'
"use strict";
const assert = require("node:assert");
const crypto = require("node:crypto");
const fs = require("node:fs");
const kit = require("@solana/kit");

const given = JSON.parse(process.argv[2]);
const sha256 = (text) => crypto.createHash("sha256").update(text).digest();
const u64 = (value) => { const bytes = Buffer.alloc(8); bytes.writeBigUInt64LE(BigInt(value)); return bytes; };
const rpc = kit.createSolanaRpc(given.url);
const program = kit.address(given.program);

async function send(signer, instructions) {
    const { value: blockhash } = await rpc.getLatestBlockhash().send();
    const message = kit.pipe(
        kit.createTransactionMessage({ version: 0 }),
        (one) => kit.setTransactionMessageFeePayerSigner(signer, one),
        (one) => kit.setTransactionMessageLifetimeUsingBlockhash(blockhash, one),
        (one) => kit.appendTransactionMessageInstructions(instructions, one),
    );
    const transaction = await kit.signTransactionMessageWithSigners(message);
    const wire = kit.getBase64EncodedWireTransaction(transaction);
    const signature = await rpc.sendTransaction(wire, { encoding: "base64" }).send();
    for (let attempt = 0; attempt < 200; attempt++) {
        const { value: [status] } = await rpc.getSignatureStatuses([signature]).send();
        if (status && status.confirmationStatus !== "processed") return signature;
        await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`${signature} was not confirmed`);
}

async function main() {
    const signer = await kit.createKeyPairSignerFromBytes(Uint8Array.from(JSON.parse(fs.readFileSync(given.wallet))));
    const collection = Buffer.from(given.collection, "hex");
    const seeds = ["root", kit.getAddressEncoder().encode(signer.address), collection];
    const [address] = await kit.getProgramDerivedAddress({ programAddress: program, seeds });
    assert.equal(address, given.address);
    const account = await kit.fetchEncodedAccount(rpc, address);
    assert(account.exists && account.programAddress === program);
    assert.equal(Buffer.from(account.data).subarray(74, 106).toString("hex"), given.root);
    const root = sha256("a root of kit");
    const accounts = [
        { address, role: kit.AccountRole.WRITABLE },
        { address: signer.address, role: kit.AccountRole.READONLY_SIGNER },
    ];
    const data = Buffer.concat([sha256("global:post_root").subarray(0, 8), u64(given.sequence), root, u64(1000)]);
    await send(signer, [{ programAddress: program, accounts, data }]);
    console.log(JSON.stringify({ root: root.toString("hex"), leaves: 1000 }));
}

main().then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
