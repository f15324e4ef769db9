// What the editor shows to someone who has not written anything yet.
export const example = `# Sign in above, then press play and choose.
# Ctrl-Enter runs what is under the cursor,
# Ctrl-Space completes.
#
# Open this page twice, to follow the feed
# here while you create a tenant there.

mutation CreateTenant {
  createTenant(
    input: { slug: "acme", name: "Acme" }
  ) {
    tenant {
      id
      slug
      status
    }
    userErrors {
      code
      field
      message
    }
  }
}

subscription FollowProvisioning {
  provisioningFeed {
    tenantId
    sequence
    status
    steps {
      integration
      state
      message
    }
  }
}
`;
