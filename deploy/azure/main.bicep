// The same as the Terraform module beside it: an account, two containers, custom roles and who has them.
// Deploy it to a resource group: az deployment group create -g GROUP -f main.bicep -p account=NAME

targetScope = 'resourceGroup'

@description('Name of the storage account.')
param account string

@description('Region of the account.')
param location string = resourceGroup().location

@description('Redundancy of the account. The others offer a secondary endpoint, whose heads are stale.')
@allowed(['LRS', 'ZRS', 'GRS', 'GZRS'])
param replication string = 'ZRS'

@description('Name of the container of the changesets.')
param changesets string = 'changesets'

@description('Name of the container of the heads.')
param heads string = 'aggregates'

@description('What the names of all blobs begin with: empty, or parts that each end in a slash.')
param prefix string = ''

@description('Whether the URL of the store makes writers begin packed chains.')
param packed bool = false

@description('For how many days deleted blobs and containers, and heads that were replaced, can be restored. Erased contents are kept for as long.')
@minValue(1)
@maxValue(365)
param softDeleteDays int = 7

@description('After how many days changesets move to the cool tier.')
param coolAfterDays int = 90

@description('After how many days changesets move to the cold tier.')
param coldAfterDays int = 365

@description('Whether the keys of the account work beside identities. Roles do not bind those who have a key.')
param sharedKeys bool = false

@description('Object IDs of the identities that append, settle and read.')
param writers string[] = []

@description('Object IDs of the identities that read.')
param readers string[] = []

@description('Object IDs of the identities that check, list, verify and delete orphans.')
param maintainers string[] = []

@description('What the identities are. Azure need not look up an identity that was made a moment before if it is told.')
@allowed(['ServicePrincipal', 'User', 'Group'])
param principalType string = 'ServicePrincipal'

@description('Tags of the account.')
param tags object = {}

resource store 'Microsoft.Storage/storageAccounts@2023-05-01' = {
  name: account
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: 'Standard_${replication}'
  }
  properties: {
    accessTier: 'Hot'
    isHnsEnabled: false
    supportsHttpsTrafficOnly: true
    minimumTlsVersion: 'TLS1_2'
    allowBlobPublicAccess: false
    allowSharedKeyAccess: sharedKeys
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2023-05-01' = {
  parent: store
  name: 'default'
  properties: {
    deleteRetentionPolicy: {
      enabled: true
      days: softDeleteDays
    }
    containerDeleteRetentionPolicy: {
      enabled: true
      days: softDeleteDays
    }
  }
}

resource changesetsContainer 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' = {
  parent: blobs
  name: changesets
  properties: {
    publicAccess: 'None'
  }
}

resource headsContainer 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' = {
  parent: blobs
  name: heads
  properties: {
    publicAccess: 'None'
  }
}

// Changesets move to colder tiers that can be read at once, and never to the archive. Nothing is deleted, and heads
// stay where they are.
resource lifecycle 'Microsoft.Storage/storageAccounts/managementPolicies@2023-05-01' = {
  parent: store
  name: 'default'
  dependsOn: [blobs]
  properties: {
    policy: {
      rules: [
        {
          name: 'colderchangesets'
          enabled: true
          type: 'Lifecycle'
          definition: {
            filters: {
              prefixMatch: ['${changesets}/${prefix}changesets/']
              blobTypes: ['blockBlob']
            }
            actions: {
              baseBlob: {
                tierToCool: {
                  daysAfterModificationGreaterThan: coolAfterDays
                }
                tierToCold: {
                  daysAfterModificationGreaterThan: coldAfterDays
                }
              }
            }
          }
        }
      ]
    }
  }
}

// What "ropewalk init --print-policy" prints: custom roles, and who has them where.
var roles = loadJsonContent('roles.json')

var identities = {
  writer: writers
  reader: readers
  maintainer: maintainers
}

var assignments = flatten(map(
  items(roles),
  role => flatten(map(
    role.value.scopes,
    scope => map(identities[role.value.role], id => { role: role.key, scope: scope, id: id })
  ))
))

resource definitions 'Microsoft.Authorization/roleDefinitions@2022-04-01' = [
  for role in items(roles): {
    name: guid(resourceGroup().id, account, role.key)
    properties: {
      roleName: '${role.value.name} (${account})'
      description: role.value.description
      type: 'CustomRole'
      assignableScopes: [resourceGroup().id]
      permissions: [
        {
          actions: role.value.actions
          notActions: []
          dataActions: role.value.dataActions
          notDataActions: []
        }
      ]
    }
  }
]

resource atAccount 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for a in filter(assignments, one => one.scope == 'account'): {
    scope: store
    name: guid(resourceGroup().id, account, a.scope, a.role, a.id)
    dependsOn: [definitions]
    properties: {
      principalId: a.id
      principalType: principalType
      roleDefinitionId: subscriptionResourceId(
        'Microsoft.Authorization/roleDefinitions',
        guid(resourceGroup().id, account, a.role)
      )
    }
  }
]

resource atChangesets 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for a in filter(assignments, one => one.scope == 'changesets'): {
    scope: changesetsContainer
    name: guid(resourceGroup().id, account, a.scope, a.role, a.id)
    dependsOn: [definitions]
    properties: {
      principalId: a.id
      principalType: principalType
      roleDefinitionId: subscriptionResourceId(
        'Microsoft.Authorization/roleDefinitions',
        guid(resourceGroup().id, account, a.role)
      )
    }
  }
]

resource atHeads 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for a in filter(assignments, one => one.scope == 'heads'): {
    scope: headsContainer
    name: guid(resourceGroup().id, account, a.scope, a.role, a.id)
    dependsOn: [definitions]
    properties: {
      principalId: a.id
      principalType: principalType
      roleDefinitionId: subscriptionResourceId(
        'Microsoft.Authorization/roleDefinitions',
        guid(resourceGroup().id, account, a.role)
      )
    }
  }
]

@description('The store, for ropewalk --store or ROPEWALK_STORE.')
output storeUrl string = 'azure://${account}/${prefix}?changesets=${changesets}&heads=${heads}${packed ? '&format=packed' : ''}'

@description('The resource ID of the storage account.')
output accountId string = store.id
