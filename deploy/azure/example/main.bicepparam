using '../main.bicep'

param account = 'acmeorders'
// the object ID of the identity that the order service runs under
param writers = ['00000000-0000-0000-0000-000000000000']
