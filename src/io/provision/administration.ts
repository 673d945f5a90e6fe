/**
 * What the token child does to a token beside signing for a session: one function for each request of
 * core/pkcs11/admin-protocol. This folder is the only door of graphene-pk11.
 */

import type { AdminOperation, AdminRequest, ReplyOf, RequestOf } from '../../core/pkcs11/admin-protocol.js'
import { type ModuleAccess, withModule } from '../token/module.js'
import { deleteObjects, importCertificate, listObjects, readCertificates } from './certificates.js'
import { generateKey, readPublicKey, signWith } from './keys.js'
import { initToken, listTokenFacts, setPin, unblockPin } from './tokens.js'
import { type AdminSurroundings, createWorkbench, type Workbench } from './workbench.js'

type Handlers = {
  [Name in AdminOperation]: (
    bench: Workbench,
    request: RequestOf<Name>,
  ) => ReplyOf<Name> | Promise<ReplyOf<Name>>
}

const HANDLERS: Handlers = {
  listTokens: listTokenFacts,
  initToken,
  setPin,
  unblockPin,
  generateKey,
  listObjects,
  publicKey: readPublicKey,
  sign: signWith,
  importCertificate,
  readCertificates,
  deleteObjects,
}

/** Does what a request says. @throws HoldfastError those of its function in this folder */
export type Perform = (request: AdminRequest) => Promise<object>

/**
 * Loads a module, lends a function that performs requests, all of them with one login, and finalizes the module on every
 * way out. Since that may hang or crash, `use` must have told all results before it ends.
 * @throws HoldfastError MODULE_*, TOKEN_FAILED
 */
export async function withAdministration(
  access: ModuleAccess,
  surroundings: AdminSurroundings,
  use: (perform: Perform) => Promise<void>,
): Promise<void> {
  await withModule(access, async (module) => {
    const bench = createWorkbench(module, access, surroundings)
    await use(async ({ operation, request }) => {
      const perform = HANDLERS[operation] as (bench: Workbench, request: object) => object | Promise<object>
      return perform(bench, request)
    })
  })
}
