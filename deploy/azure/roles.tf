# What "ropewalk init --print-policy" prints: custom roles, and who has them where.

data "azurerm_resource_group" "store" {
  name = var.resource_group
}

locals {
  roles = jsondecode(file("${path.module}/roles.json"))

  identities = {
    writer     = var.writers
    reader     = var.readers
    maintainer = var.maintainers
  }

  scopes = {
    account    = azurerm_storage_account.store.id
    changesets = "${azurerm_storage_account.store.id}/blobServices/default/containers/${azurerm_storage_container.changesets.name}"
    heads      = "${azurerm_storage_account.store.id}/blobServices/default/containers/${azurerm_storage_container.heads.name}"
  }

  assignments = flatten([
    for key, role in local.roles : [
      for scope in role.scopes : [
        for name, id in local.identities[role.role] : {
          name  = "${name} is ${key} at ${scope}"
          role  = key
          scope = local.scopes[scope]
          id    = id
        }
      ]
    ]
  ])
}

resource "azurerm_role_definition" "role" {
  for_each = local.roles

  name              = "${each.value.name} (${var.account})"
  description       = each.value.description
  scope             = data.azurerm_resource_group.store.id
  assignable_scopes = [data.azurerm_resource_group.store.id]

  permissions {
    actions      = each.value.actions
    data_actions = each.value.dataActions
  }
}

resource "azurerm_role_assignment" "role" {
  for_each = { for a in local.assignments : a.name => a }

  scope              = each.value.scope
  role_definition_id = azurerm_role_definition.role[each.value.role].role_definition_resource_id
  principal_id       = each.value.id
}
