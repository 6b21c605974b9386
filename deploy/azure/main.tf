resource "azurerm_storage_account" "store" {
  name                = var.account
  resource_group_name = var.resource_group
  location            = var.location
  tags                = var.tags

  account_kind             = "StorageV2"
  account_tier             = "Standard"
  account_replication_type = var.replication
  is_hns_enabled           = false

  https_traffic_only_enabled      = true
  min_tls_version                 = "TLS1_2"
  allow_nested_items_to_be_public = false
  shared_access_key_enabled       = var.shared_keys

  blob_properties {
    delete_retention_policy {
      days = var.soft_delete_days
    }

    container_delete_retention_policy {
      days = var.soft_delete_days
    }
  }
}

resource "azurerm_storage_container" "changesets" {
  name                  = var.changesets
  storage_account_id    = azurerm_storage_account.store.id
  container_access_type = "private"
}

resource "azurerm_storage_container" "heads" {
  name                  = var.heads
  storage_account_id    = azurerm_storage_account.store.id
  container_access_type = "private"
}

# Changesets move to colder tiers that can be read at once, and never to the
# archive. Nothing is deleted, and heads stay where they are.

resource "azurerm_storage_management_policy" "store" {
  storage_account_id = azurerm_storage_account.store.id

  rule {
    name    = "colderchangesets"
    enabled = true

    filters {
      prefix_match = ["${azurerm_storage_container.changesets.name}/${var.prefix}changesets/"]
      blob_types   = ["blockBlob"]
    }

    actions {
      base_blob {
        tier_to_cool_after_days_since_modification_greater_than = var.cool_after_days
        tier_to_cold_after_days_since_modification_greater_than = var.cold_after_days
      }
    }
  }
}
