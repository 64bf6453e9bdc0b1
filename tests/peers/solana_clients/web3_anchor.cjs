// web3_anchor.cjs - @solana/web3.js and @coral-xyz/anchor against dvesp: they derive our addresses, read what we posted through
// our IDL, post themselves, and are refused by name.
// usage: NODE_PATH=... node web3_anchor.cjs '{"url", "program", "idl", "wallet", "collection", "root", "leaves", "transaction", "signature", "address"}'
"use strict";
const assert = require("node:assert");
const crypto = require("node:crypto");
const fs = require("node:fs");
const anchor = require("@coral-xyz/anchor");
const web3 = require("@solana/web3.js");

const given = JSON.parse(process.argv[2]);
const sha256 = (text) => crypto.createHash("sha256").update(text).digest();
const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const number = (value) => new anchor.BN(value);

const connection = new web3.Connection(given.url, "confirmed");
const keypair = web3.Keypair.fromSecretKey(Uint8Array.from(JSON.parse(fs.readFileSync(given.wallet))));
const idl = { ...JSON.parse(fs.readFileSync(given.idl)), address: given.program };
const provider = new anchor.AnchorProvider(connection, new anchor.Wallet(keypair), { commitment: "confirmed" });
const program = new anchor.Program(idl, provider);

function addressOf(authority, collection) {
    return web3.PublicKey.findProgramAddressSync([Buffer.from("root"), authority.toBuffer(), Buffer.from(collection)], program.programId)[0];
}

async function confirmed(signature) {
    for (let attempt = 0; attempt < 200; attempt++) {
        const status = (await connection.getSignatureStatuses([signature])).value[0];
        if (status && status.confirmationStatus !== "processed") return signature;
        await sleep(50);
    }
    throw new Error(`${signature} was not confirmed`);
}

async function send(method, signer = keypair) {
    const transaction = await method.transaction();
    transaction.feePayer = signer.publicKey;
    transaction.recentBlockhash = (await connection.getLatestBlockhash()).blockhash;
    transaction.sign(signer);
    return confirmed(await connection.sendRawTransaction(transaction.serialize()));
}

async function refused(method, signer, code, name) {
    const error = await send(method, signer).then(() => null, (reason) => reason);
    assert(error, "the program took it");
    assert(String(error).includes(`"Custom": ${code}`) || String(error).includes(`0x${code.toString(16)}`), String(error));
    const known = idl.errors.find((one) => one.code === code);
    assert.equal(known ? known.name : "ConstraintHasOne", name);
}

async function main() {
    // What dvesp posted, read by Anchor.
    const ours = Buffer.from(given.collection, "hex");
    const address = addressOf(keypair.publicKey, ours);
    assert.equal(address.toBase58(), given.address);
    const record = await program.account.collectionRoot.fetch(address);
    assert.equal(Buffer.from(record.merkleRoot).toString("hex"), given.root);
    assert(record.leafCount.eqn(given.leaves) && record.authority.equals(keypair.publicKey) && record.version === 1);
    assert.deepEqual(Buffer.from(record.collectionId), ours);

    // The transaction that dvesp sent, read by web3.js: the same instructions come out, and compiled again the same bytes but for
    // the order of accounts of one privilege, which is free.
    const sent = web3.VersionedTransaction.deserialize(Buffer.from(given.transaction, "base64"));
    const again = web3.TransactionMessage.decompile(sent.message);
    assert(again.payerKey.equals(keypair.publicKey));
    const compiled = again.compileToV0Message();
    assert.deepEqual(web3.TransactionMessage.decompile(compiled).instructions, again.instructions);
    assert.equal(compiled.serialize().length, sent.message.serialize().length);
    assert.deepEqual(compiled.header, sent.message.header);
    const post = again.instructions.at(-1);
    const decoded = program.coder.instruction.decode(Buffer.from(post.data));
    assert.equal(decoded.name, "postRoot");
    assert.equal(Buffer.from(decoded.data.root).toString("hex"), given.root);

    // Its event, parsed by Anchor.
    const raw = await connection._rpcRequest("getTransaction", [given.signature, {}]);
    const events = [...new anchor.EventParser(program.programId, program.coder).parseLogs(raw.result.meta.logMessages)];
    assert.equal(events.length, 1);
    assert.equal(events[0].name, "rootPosted");
    assert.equal(Buffer.from(events[0].data.merkleRoot).toString("hex"), given.root);

    // Anchor posts, and is refused when it is stale or a stranger.
    const theirs = [...sha256("a collection of Anchor")];
    const record2 = addressOf(keypair.publicKey, theirs);
    await send(program.methods.initialize(theirs).accounts({ authority: keypair.publicKey }));
    const root = [...sha256("a root of Anchor")];
    const posted = await send(program.methods.postRoot(number(0), root, number(42)).accounts({ record: record2, authority: keypair.publicKey }));
    const stale = program.methods.postRoot(number(0), root, number(43)).accounts({ record: record2, authority: keypair.publicKey });
    await refused(stale, keypair, 6000, "StaleSequence");
    const stranger = web3.Keypair.generate();
    await confirmed(await connection.requestAirdrop(stranger.publicKey, 1e9));
    const theft = program.methods.postRoot(number(1), root, number(43)).accounts({ record: record2, authority: stranger.publicKey });
    await refused(theft, stranger, 2001, "ConstraintHasOne");
    console.log(JSON.stringify({ collection: Buffer.from(theirs).toString("hex"), root: Buffer.from(root).toString("hex"), posted }));
}

main().then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
