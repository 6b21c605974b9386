output "store_url" {
  description = "The store, for ropewalk --store or ROPEWALK_STORE."
  value       = "azure://${azurerm_storage_account.store.name}/${var.prefix}?changesets=${azurerm_storage_container.changesets.name}&heads=${azurerm_storage_container.heads.name}${var.packed ? "&format=packed" : ""}"
}

output "account_id" {
  description = "The resource ID of the storage account."
  value       = azurerm_storage_account.store.id
}
